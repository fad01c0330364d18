"""Texts as agents write them: some bear a secret, some only look as if they did.

Every secret is put together here, or the file would look like a leak to whoever scans the
repository for one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import quote

LETTERS = "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ"
HEX = hashlib.sha256(b"corpus").hexdigest()
WORD = "hunter" + "2hunter2"
PLAIN = "zebra" + "crossing"
ODD = "p,w;x&y" + "-Zq7!tail"


def _base64(text: str) -> str:
    return base64.b64encode(hashlib.sha512(text.encode()).digest()).decode()


def _tokens() -> dict[str, str]:
    """Return a token of each vendor, in its usual form."""
    return {
        "anthropic": "sk-" + "ant-api03-" + LETTERS * 2,
        "openai": "sk-" + LETTERS + LETTERS[:12],
        "openai project": "sk-" + "proj-" + LETTERS + "_-" + LETTERS,
        "openrouter": "sk-" + "or-v1-" + HEX,
        "groq": "gsk" + "_" + LETTERS + LETTERS[:16],
        "xai": "xai" + "-" + LETTERS * 2,
        "replicate": "r8" + "_" + LETTERS,
        "perplexity": "pplx" + "-" + LETTERS + LETTERS[:12],
        "hugging face": "hf" + "_" + LETTERS[:34],
        "slack app": "xapp" + "-1-A0123456789-1234567890123-" + HEX,
        "slack bot": "xoxb" + "-123456789012-1234567890123-" + LETTERS[:24],
        "gitlab": "glpat" + "-" + LETTERS[:20],
        "gitlab runner": "glrt" + "-" + LETTERS[:20],
        "gitlab deploy": "gldt" + "-" + LETTERS[:20],
        "github": "ghp" + "_" + LETTERS,
        "github fine": "github" + "_pat_" + LETTERS[:22] + "_" + LETTERS,
        "google access": "ya29" + "." + LETTERS * 2,
        "google client": "GOCSPX" + "-" + LETTERS[:28],
        "google refresh": "1" + "//0" + LETTERS * 2,
        "google key": "AIza" + "Sy" + LETTERS[:33],
        "vault": "hvs" + "." + LETTERS * 2,
        "vault batch": "hvb" + "." + LETTERS * 3,
        "vault old": "s" + "." + LETTERS[:24],
        "digitalocean": "dop" + "_v1_" + HEX,
        "digitalocean oauth": "doo" + "_v1_" + HEX,
        "sendgrid": "SG" + "." + LETTERS[:22] + "." + LETTERS + LETTERS[:7],
        "stripe": "sk" + "_live_" + LETTERS[:24],
        "stripe webhook": "whsec" + "_" + LETTERS[:32],
        "npm": "npm" + "_" + LETTERS,
        "pypi": "pypi" + "-AgEIcHlwaS5vcmc" + LETTERS * 2,
        "aws": "AKIA" + "IOSFODNN7EXAMPLE",
        "azure storage": _base64("corpus")[:75] + "+" + "ASt" + LETTERS[:6] + "==",
        "docker": "dckr" + "_pat_" + LETTERS[:27],
        "jwt": ".".join(("eyJ" + "hbGciOiJIUzI1NiJ9", "eyJ" + "zdWIiOiIxMjM0In0", LETTERS)),
    }


TOKENS = _tokens()

# What stands around a token, where one was missed or could be.
_PLACES = (
    "{}",
    "the agent exported {} and went on",
    "\x1b[31m{}\x1b[0m",
    "echo {}\\nDone.",
    "\\t{}\\r\\n",
    "\\u001b[1m{}\\u001b[0m",
    "q%3D{}%26x%3D1",
    "&quot;{}&quot;&nbsp{}",
    '{{"log": "line 1\\n{}"}}',
    "+    client = Client('{}')",
    "2026-06-15T10:00:00Z ERROR 401 for {}",
    "<td>{}</td>",
)

# Forms in which a value is said to be secret; each with one that has no form of its own.
_ASSIGNMENTS = (
    "password={}",
    "password: {}",
    "PASSWORD = '{}'",
    'passwd="{}"',
    "DB_PASSWORD={} python run.py",
    "export PGPASSWORD={}",
    "MYSQL_PWD={} mysql shop",
    "{{'password': '{}'}}",
    "{{'password': b'{}'}}",
    '{{"db_password":"{}","port":5432}}',
    '{{"credentials": {{"passphrase": "{}"}}}}',
    'body="{{\\"password\\": \\"{}\\"}}"',
    '{{\\\\"password\\\\": \\\\"{}\\\\"}}',
    "password%3D{}",
    "password&#61;{}",
    "password\\u003d{}",
    "&quot;password&quot;: &quot;{}&quot;",
    "{{password:{} port:5432}}",
    "map[password:{} x:1]",
    ":password => '{}'",
    'password: Some("{}")',
    "password=SecretStr('{}')",
    'password = """{}"""',
    "password: |\n  {}",
    "password: >-\n    {}\nuser: x",
    "password:\n  {}",
    '{{"msg": "password\\n: {}"}}',
    "os.environ['DB_PASSWORD'] = '{}'",
    "monkeypatch.setenv('API_KEY', '{}')",
    "('password', '{}')",
    "(b'authorization', b'{}')",
    '["api_key", "{}"]',
    "[('x-api-key', '{}'), ('accept', '*/*')]",
    '{{"name": "DB_PASSWORD", "value": "{}"}}',
    '{{"Key":"api_key","Value":"{}"}}',
    "- name: CLIENT_SECRET\n  value: {}",
    '<add key="ApiKey" value="{}" />',
    "--password {}",
    "--password={}",
    "deploy --api-key '{}' --verbose",
    "['mysql', '--password', '{}']",
    "vault login -token={}",
    "<password>{}</password>",
    "<ns:Password type='text'>{}</ns:Password>",
    "&lt;password&gt;{}&lt;/password&gt;",
    '<user name="x" password="{}"/>',
    "<key>api_key</key>\n<string>{}</string>",
    "X-Api-Key: {}",
    "curl -H 'X-Auth-Token: {}' https://x.dev",
    "Authorization: Basic {}",
    "Authorization: Token {}",
    "Proxy-Authorization: Digest {}",
    "{{'Authorization': 'Basic {}'}}",
    "Cookie: session={}; theme=dark",
    "Set-Cookie: sid={}; Path=/; HttpOnly",
    "-H 'Cookie: a=b; csrf={}'",
    "curl -u bob:{} https://x.dev",
    "sshpass -p {} ssh bob@10.0.0.1",
    "mysql -u root -p{} shop",
    "redis-cli -a {} ping",
    "CREATE USER x IDENTIFIED BY '{}'",
    "ALTER ROLE x WITH PASSWORD '{}'",
    "machine x login y password {}",
    "https://bob:{}@x.dev/a",
    "postgres:\\/\\/app:{}@db\\/x",
    "https%3A%2F%2Fbob%3A{}%40x.dev%2Fa",
    "https://x.dev/cb?access_token={}&state=1",
    "client_secret={}&grant_type=client_credentials",
    "api_key: str = '{}'",
    'password := "{}"',
    'private String apiKey = "{}";',
    "-  token: {}",
    "+SECRET_KEY_BASE={}",
    "AccountName=x;AccountKey={};EndpointSuffix=core",
    "SharedAccessKey={}",
    "//registry.npmjs.org/:_authToken={}",
    "aws_secret_access_key = {}",
    "refresh_token={}",
    "jwt={}",
    "pass: {}",
    "ENV API_TOKEN {}",
    "requests.get(url, auth=('bob', '{}'))",
    "<password><![CDATA[{}]]></password>",
    "**Password**: {}",
    "**Password:** {}",
    '{{"value": "{}", "name": "DB_PASSWORD"}}',
    "Header(name='Authorization', value='Basic {}')",
    'New-Item -Password (ConvertTo-SecureString "{}" -AsPlainText)',
    "api_keys = ['x1y2z3', '{}']",
    '"password": {{"value": "{}"}}',
    "user\tpassword\nbob\t{}\neve\tq",
    "| user | password |\n| --- | --- |\n| bob | {} |",
    "the password is '{}'",
    # Tables: of consoles, with rules, in columns of spaces, one line a name, and in SQL.
    " user | password \n------+----------\n bob  | {}\n(1 row)",
    "+------+----------+\n| user | password |\n+------+----------+\n| bob  | {} |\n+------+--+",
    "┌──────┬────────┐\n│ user │ secret │\n├──────┼────────┤\n│ bob  │ {} │\n└──────┴────────┘",
    "┃ user ┃ db_password ┃\n┡━━━━━━╇━━━━━━━┩\n│ bob │ {} │",
    "user  password\n====  ========\nbob   {}",
    "ID   USER   CLIENT SECRET    AGE\n1    bob    {}    3d\n2    eve    x    4d",
    "NAME   ACCESS_TOKEN   AGE\nci     {}   3d",
    " password | {}",
    "-[ RECORD 1 ]----\nuser     | bob\npassword | {}\nhost     | db",
    "*** 1. row ***\n    user: bob\npassword: {}",
    "| DB_PASSWORD | {} |",
    "│ api_key │ {} │",
    "Password   {}",
    "User       bob\nPassword   {}\nHost       db",
    "db.password\t{}",
    "insert into users (name, password) values ('bob', '{}')",
    "INSERT INTO u (id, name, password, at) VALUES (1, 'b''s (x)', '{}', now()), (2, 'e', 'q', 1);",
    'INSERT INTO `u` (`name`, `password`) VALUES\n("bob", "{}")',
    "insert into users(email, password_hash, api_key) values (lower('B'), 'x', '{}') returning id",
    "COPY public.users (id, name, password) FROM stdin;\n1\tbob\t{}\n\\.",
    "CREATE USER x IDENTIFIED BY {}",
    "CREATE USER x IDENTIFIED WITH sha256_password BY '{}'",
    "SET PASSWORD FOR 'bob'@'%' = '{}'",
    "SET PASSWORD = PASSWORD('{}')",
    "alter role x with password '{}' valid until 'infinity'",
    "select * from u where name = 'bob' and password = crypt('{}', password)",
    "update users set password = md5('{}') where id = 1",
    # Here-documents and here-strings
    "PASSWORD=<<EOF\n{}\nEOF",
    "DB_PASSWORD<<EOF\n{}\nEOF",
    "password = <<-EOT\n  first\n  {}\n  EOT\nuser = 1",
    "export API_KEY=$(cat <<'EOF'\n{}\nEOF\n)",
    "read -r DB_PASSWORD <<'END'\n{}\nEND",
    "read PASSWORD <<< '{}'",
    'run: "PASSWORD=<<EOF\\n{}\\nEOF\\n"',
    # Flags of commands, their value glued or apart
    "mysql -u root -p {} shop",
    "mysqldump -p'{}' shop > x.sql",
    "mariadb -h db -u root -p{}",
    "psql --pass {} -h db",
    "mongosh -u root -p {} shop",
    "sshpass -p{} ssh bob@10.0.0.1",
    "sshpass -p '{}' scp a bob@10.0.0.1:",
    "docker login -u bob -p {} registry.acme.dev",
    "helm registry login -u bob -p '{}' x.dev",
    "sqlcmd -S db -U sa -P {} -Q 'select 1'",
    "ldapsearch -x -D cn=admin -w {} -b dc=acme",
    "redis-cli -h cache --pass {} ping",
    "unzip -P {} a.zip",
    "7z x -p{} a.7z",
    "openssl rsa -in k.pem -passin pass:{}",
    "keytool -list -storepass {} -keystore a.jks",
    "curl --user bob:{} https://x.dev",
    "curl -s -ubob:{} https://x.dev",
    "curl -sSu 'bob:{}' https://x.dev",
    "http -a bob:{} x.dev",
    "smbclient //h/share -U bob%{}",
    "['curl', '-u', 'bob:{}', 'https://x.dev']",
    '["mysql", "-u", "root", "-p{}", "shop"]',
    '["sshpass", "-p", "{}", "ssh", "h"]',
    # Sessions
    "Cookie: sessionid={}; csrftoken=y",
    "Cookie: csrftoken=y; sessionid={}",
    'Cookie: sessionid="{}"; csrftoken="y"',
    '* Added cookie sessionid="{}" for domain x.dev',
    "> cookie: JSESSIONID={}\n> accept: *",
    "Set-Cookie: PHPSESSID={}; path=/",
    "set-cookie: __Host-x=y; Secure\nset-cookie: connect.sid={}; HttpOnly",
    "{{'set-cookie': 'sessionid={}; Path=/'}}",
    "curl -b 'sessionid={}; csrftoken=y' https://x.dev",
    "curl --cookie sessionid={} https://x.dev",
    "X-Session-Token: {}",
    "X-Session-Id: {}",
    "cookies={{'sessionid': '{}'}}",
    "cookies=dict(sessionid='{}')",
    'document.cookie = "sid={}"',
    "x.dev\tFALSE\t/\tTRUE\t0\tsessionid\t{}",
    "/cb;jsessionid={}?x=1",
    # Files that hold logins
    "machine x\n  login y\n  password {}",
    "machine x password {} login y",
    "default login y password {}",
    "machine x\\nlogin y\\npassword {}",
    "machine x login y account z password {}",
    "db.acme.dev:5432:shop:bob:{}",
    "localhost:*:*:bob:{}",
    "*:5432:*:bob:{}",
    "//registry.npmjs.org/:_password={}",
    "//npm.acme.dev/:_authToken = {}",
    "_auth={}",
    '"auths": {{"index.docker.io": {{"auth": "{}"}}}}',
    '{{"identitytoken": "{}"}}',
    # Where a program finds its database
    "jdbc:postgresql://h/db?user=u&password={}",
    "jdbc:sqlserver://h;user=u;password={};encrypt=true",
    "jdbc:oracle:thin:scott/{}@h:1521:x",
    "jdbc:oracle:thin:@h:1521:x?oracle.jdbc.password={}",
    "sqlplus scott/{}@orcl",
    "bob:{}@tcp(127.0.0.1:3306)/shop",
    "Server=h;Database=d;Uid=u;Pwd={};",
    "Server=h;User Id=u;PWD={}",
    "Endpoint=sb://x/;SharedAccessKeyName=k;SharedAccessKey={}",
    "BlobEndpoint=https://x.dev;AccountKey={}",
    "h:6379,password={},ssl=True",
    "DBPASS={}",
    "userpwd: {}",
    # In words
    "the password is {}",
    "passcode is {}",
    "Password for bob: {}",
    "the API key is {}",
    "log in as bob with password {}",
    "pw: {}",
    "aws configure set aws_secret_access_key {}",
    '"password": {{"S": "{}"}}',
    "openssl enc -aes-256-cbc -k {} -in x",
)
# Where not every sign may stand, or not in any place.
_NARROW = (
    "postgres://bob:a/{}@db/x",
    "postgres://bob:{}/x@db/x",
    "https://bob:{}/x@x.dev/a",
    "| Variable | Value |\n| --- | --- |\n| DB_PASSWORD | {} |",
    "| a | b |\n| --- | --- |\n\n| user | password |\n| --- | --- |\n| bob | {} |",
    "insert into users (name, password) values ('bob', '{}",
    "user,password\nbob,{}\neve,q",
    "user;password\nbob;{}",
    "https://bob:a/{}@x.dev/a",
    "https://bob:a#{}@x.dev/a",
    "https://bob:a?{}@x.dev/a",
    "https://bob:a\\{}@x.dev/a",
    'https://bob:a"{}@x.dev/a',
    "https://bob:a'{}@x.dev/a",
    "https://bob:<{}>@x.dev/a",
    "https://bob:{}$^*(@x.dev/a",
    "https://bob:%2F{}%23@x.dev/a",
    "postgres://bob:a:b/{}@db:5432/x",
    "http://bob:1/{}@x.dev",
    "mailto:{}@x.dev",
    "mailto:{}%40x.dev",
    "MAILTO:{}@x.dev?subject=a",
    "<mailto:{}@localhost>",
    "mailto:git@{}.dev",
    "mailto:a/{}@x.dev",
    "mailto:a@x.dev,{}@x.dev",
    "https://x.dev/unsubscribe?email={}%40x.dev&x=1",
    "https://x.dev/users/{}@x.dev/orders",
    "GET /users/{}@x.dev 200",
    "exports/{}@x.com.csv",
)

_NO_URL = ("https", "postgres", "curl -u")
_PEM = "-----BEGIN {}-----\n{}\n-----END {}-----"
_PRIVATE_KEYS = (
    *(
        _PEM.replace("{}", kind, 1).replace("END {}", f"END {kind}")
        for kind in (
            *("PRIVATE" + " KEY", "RSA PRIVATE" + " KEY", "EC PRIVATE" + " KEY"),
            *("DSA PRIVATE" + " KEY", "ENCRYPTED PRIVATE" + " KEY", "OPENSSH PRIVATE" + " KEY"),
            *("PGP PRIVATE" + " KEY BLOCK", "ENCRYPTED COSIGN PRIVATE" + " KEY"),
            *("TSS2 PRIVATE" + " KEY", "OpenVPN Static" + " key V1"),
        )
    ),
    "---- BEGIN SSH2 ENCRYPTED PRIVATE" + " KEY ----\nComment: x\n{}\n---- END SSH2 X",
    "-----BEGIN RSA PRIVATE" + " KEY-----\n{}",
    "+-----BEGIN RSA PRIVATE" + " KEY-----\n+{}\n+-----END RSA PRIVATE KEY-----",
    "-----BEGIN%20PRIVATE%20" + "KEY-----%0A{}%0A-----END%20PRIVATE%20KEY-----",
    "-----BEGIN+RSA+PRIVATE+" + "KEY-----%0D%0A{}",
    "PuTTY-User-Key-File-3: ssh-rsa\nPrivate" + "-Lines: 1\n{}\nPrivate-MAC: 0a",
    "tls.key: LS0tLS1CRUdJTi" + "BQUklWQVRFIEtFWS0tLS0tCk1J{}",
    '"key": "LS0tLS1CRUdJTi' + 'BSU0EgUFJJVkFURSBLRVktLS0tLQ{}"',
    '{{"kty":"RSA","n":"0vx7","e":"AQAB","d":"{}"}}',
    '{{"kty": "EC", "crv": "P-256", "d": "{}", "use": "sig"}}',
    '{{\\"d\\":\\"{}\\",\\"kty\\":\\"OKP\\"}}',
    '{{"kty":"oct","k":"{}"}}',
    "{{'p': '{}', 'kty': 'RSA'}}",
)
_BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
# Each with what stands before its secret part.
_WHOLE = (
    ("AGE-SECRET" + "-KEY-1" + _BECH32 + _BECH32[:26], "1"),
    ("AGE-SECRET" + "-KEY-PQ-1" + _BECH32 * 2, "PQ-1"),
    ("identity: AGE-PLUGIN" + "-YUBIKEY-1" + _BECH32[:24], "1"),
)


def _secret_texts() -> list[tuple[str, str]]:
    texts = []
    for number, token in enumerate(TOKENS.values()):
        for place in _PLACES[number % 3 :: 3]:
            texts.append((place.replace("{}", token).replace("{{", "{").replace("}}", "}"), token))
    for form in _ASSIGNMENTS:
        texts.append((form.format(WORD), WORD))
        if not form.startswith(_NO_URL) and not any(s in form for s in ("access_token=", "&grant")):
            texts.append((form.format(ODD), "Zq7"))
    for said in ('a "quoted" tail', "it's a tail", "two\nlines", "back\\slash tail"):
        texts.append(
            (
                json.dumps({"user": "x", "password": f"Xk9{said}"}),
                "tail" if "tail" in said else "lines",
            )
        )
        texts.append((repr({"api_key": f"Xk9{said}"}), "tail" if "tail" in said else "lines"))
    texts += [(form.format(WORD), WORD) for form in _NARROW]
    texts += [(key.format(LETTERS), LETTERS) for key in _PRIVATE_KEYS]
    texts += [(f"deploy {flag} {PLAIN}", PLAIN) for flag in ("--token", "--pass", "-auth", "--jwt")]
    texts += [(text, text.rpartition(mark)[2]) for text, mark in _WHOLE]
    texts.append(("q=" + quote(f"password={WORD}&x=1"), WORD))
    texts.append((json.dumps({"log": json.dumps({"apiKey": WORD})}), WORD))
    return texts


SECRET_TEXTS = _secret_texts()
"""Each text with what must not be left of it."""

_WRITTEN = """
tests_passed: 412, tests_failed: 3, pass_rate: 0.993
pass_rate=0.98 over 50 runs
cache_key=build-3.11-linux-x64
cache_key: v2:acme/api:main
cache key: deps-4f2a9c1b77
primary_key: task_id
primary key (task_id, attempt)
foreign key (repo_id) references repos(id)
sort_key="created_at", partition_key="tenant_42a"
idempotency_key: 0198a3a0-0000-7000-8000-000000000001
estimated_tokens=4096 max_tokens=512
prompt_tokens: 1204, completion_tokens: 88
total tokens: 9,812 of 200,000
time_to_first_token: 0.41 s
the next token: 512 of 4096 tokens
token count 18234 exceeds the limit
Unexpected token '}' at position 118
SyntaxError: Unexpected token: punc (;)
invalid token: expected ')' but found ';'
token expired, please log in again
401 Unauthorized: invalid or missing token
error: token is required
authorization: required for every endpoint
Authentication failed: password is incorrect
password: required
password: must be at least 12 characters
Password must not be empty
Enter password:
Forgot your password? Reset the password here
password reset mail is sent twice
fix the password strength meter
add a "show password" button
rename `password` to `passphrase` in the form
def login(user: str, password: str) -> Session:
def check(password: str | None = None) -> bool:
def f(token: Optional[str] = None): ...
password = os.environ["DB_PASSWORD"]
password = os.getenv("DB_PASSWORD")
api_key=os.environ.get("OPENAI_API_KEY")
api_key = settings.OPENAI_API_KEY
apiKey: process.env.OPENAI_API_KEY,
token = request.headers.get("x")
token = get_token(user)
token = await self.session.refresh()
password=password
api_key=api_key, model=model
self.token = token
self.password = hash_password(raw)
const token = useToken();
password: ${DB_PASSWORD}
password=$DB_PASSWORD
PGPASSWORD=$PGPASSWORD psql
password: {{ vault_db_password }}
password: <your password>
api_key: <redacted>
password=********
api_key=xxxxxxxx
token: ***
secret: [secret]
password: null
password: None
"password": null, "enabled": true
"token": null
"has_password": true
secret: no
the secret meeting, the secret: no
the secret of this speed-up is batching
secrets: inherit
secrets: 3 found, 3 rotated
secret scanning: enabled
secret_name: db-login
secretName: api-tls
kubectl get secret api-tls -n prod
aws secretsmanager list-secrets
credential helper: store
credentials: missing
git config credential.helper store
docker login --password-stdin registry.acme.dev
--no-auth --auth-method none
--token-limit 4096 --model large
--key-file /etc/ssl/private/site.key
--cache-key deps --restore-keys deps-
auth: enabled
auth: none
auth=jwt rate_limit=10
auth.py:12: error: missing return
src/auth/token.py | 14 ++++----
src/secrets/api_key.py:12: warning
tests/test_password.py::test_reset PASSED
tests/auth/test_token.py ...... [ 40%]
collected 214 items; 3 passed, 1 failed
first pass: ok, second pass: 2 errors
compiler pass: inline; 14 changes
pass
bypass=true
compass: north
author: bob
authority: dns
cookie banner is shown twice
cookies: enabled
cookie consent: required
accept the cookies policy
keys: 14, values: 14
key: value
key=value
key: id, order: asc
sorted(rows, key=len)
max(items, key=lambda item: item.score)
<li key={item.id}>
map key: "name"
dict key 'repo' is missing
KeyError: 'password'
KeyError: "api_key"
missing key: model_tier
press any key to go on
hot key: ctrl+shift+p
keyboard, monkey, turkey, whiskey
public key: ed25519
ssh key fingerprint is checked
the API key is read from the environment
an api key: see the docs
the api_key parameter is deprecated
rotate the api keys every 90 days
jwt: expired
JWT verification is skipped in tests
pwd
PWD=/home/ci/work
cd $(pwd) && make test
pwd: /srv/app
basic authentication is required
Bearer authentication is required
WWW-Authenticate: Bearer realm
bearer of bad news
use bearer authentication/authorization.
git@github.com:acme/api.git
ssh://git@github.com/acme/api.git
https://github.com/acme/api/pull/7?tab=files#r1
https://acme.dev/login?next=/a&tab=2
https://medium.com/@someone/a-post
http://localhost:8080/@scope/pkg
redirect=https%3A%2F%2Facme.dev%2Fa%3Fb%3Dc
docker run -u 1000:1000 acme/api
curl -s https://acme.dev/health
mysql -h db -P 3306 shop
mysql --version
redis-cli -h cache ping
sshd: session opened
actions/checkout@v4.1.0
lodash@4.17.21
@pytest.mark.parametrize
@app.get('/items')
react@18.3.0-canary.ab12
python@3.11
assets/icon@2x.png
1.2.3-rc.1+build.5
sk-learn
sk-SK
sk-learn-compatible-estimators
risk-assessment-of-the-new-billing-flow
task-proj-migrate-billing-to-the-new-api
ask-the-user-for-a-confirmation-first
disk-ant-hill-simulation-with-many-ants
desk_test_reservations
task_test_registration_flow
gsk is short for something
xai-explainability
hf_transfer is enabled
npm_config_cache=/tmp/npm
npm_lifecycle_event=test
pypi-publish job is green
r8_runtime
AKIA and ghp_ are prefixes
eyJ is how a JWT begins
-----BEGIN PUBLIC KEY-----
-----BEGIN CERTIFICATE-----
a PRIVATE KEY must not be committed
SG.small is a size
s.serialize(value).strip()
s.startswithAnotherLongPrefix(x)
<input type="password" name="password">
<label for="password">Password</label>
<token>if</token>
<xs:element name="password" type="xs:string"/>
("token", "pool", "tier")
["user", "password", "email"]
["password", "login"]
getattr(row, "token", None)
parser.add_argument("--password", "-p", required=True)
parser.add_argument("--token", help="what to send")
print("token: ", token)
print(f"token: {token}")
log.info("password=%s", "hidden")
logger.debug("api_key: " + mask(key))
raise ValueError("password: too short")
assert "password" not in line
assert response.json() == {"token": None}
if token == ")": depth -= 1
while token != EOF:
match token: case "if": parse_if()
class Token(NamedTuple): kind: str
type Token = { kind: string }
Token { kind: Ident, span: 4..9 }
interface Auth { token: string; expires: number }
token: string
token?: string | undefined
password: z.string().min(8)
password: Joi.string().required()
token_type: bearer
grant_type=password
token_endpoint: https://acme.dev/oauth/token
"token_endpoint": "https://acme.dev/oauth/token"
password_hash: argon2id
password_policy: strong
secret_rotation_days: 90
tokenizer: cl100k_base
tokens_per_second: 84.2
"key": "value"
"sort_key": "created_at"
"partitionKey": "/tenantId"
"cacheKey": "home:v3:42"
storage class: standard
keyspace: app
index on (repo, date)
commit 9f8b7c6d: tidy the auth module
Merge branch 'feature/token-refresh'
feat(auth): refresh the token before it expires
fix: do not log the password
refactor passwordless login with a token bucket
docs: how to get an API key
diff --git a/src/auth.py b/src/auth.py
index 83db48f..bf2c1a9 100644
@@ -12,7 +12,9 @@ def login(user):
-    return check(user)
+    return check(user, strict=True)
Traceback (most recent call last):
TypeError: f() missing 1 required argument: 'token'
AttributeError: 'NoneType' object has no attribute 'token'
PermissionError: [Errno 13] Permission denied: '/etc/secret'
cost 0.31 USD, 4 attempts, success
quality_score: 92, routing_confidence: 0.87
model_tier=large pool_type=swarm attempt=2
C:\\Users\\x\\api_keys.txt
/usr/lib/python3.11/site-packages/jwt/__init__.py
id: 42, name: bob, active: true
name: password-reset, value: 3
x = y[key]
for key, value in items.items():
The auth middleware rejects the token when `exp` has passed
token: eof at line 3
secret santa list: bob, eve
Found 3 secrets in 12 files
passphrase: optional
Set the password field: it must be at least 8 characters
secrets.token_hex(16)
name: token, type: string
"name": "password", "type": "string"
- name: password
  type: string
{"name": "token_count", "value": "512"}
pytest -k "auth or token"
git push --force-with-lease origin auth
npm run build --if-present -- --token-dir x
make test PASS=1 FAIL=0
PASS: 12 FAIL: 0
PASS tests/a.test.ts
--- PASS: TestAuth (0.02s)
pass@1: 0.82, pass@5: 0.91
key: 4f2a9c1b77aa
cache hit for key 4f2a9c1b77aa0012
Cache-Key: linux-v3-4f2a9c1b77aa
etag: "33a64df551425fcc55e4d42a148795d9f25f89d4"
x-request-id: 0198a3a0-0000-7000-8000-000000000001
authorization: 403 for /admin
auth=true cookie=false
auth_time=12ms
session token refresh took 120ms
max_tokens=4096 stop_token=</s>
stop_token: <|endoftext|>
pad_token_id: 50256
eos_token: </s>
bos_token: <s>
tokenizer.pad_token = tokenizer.eos_token
csrf_token: missing
api-key: see docs
api_key: str
apiKey?: string;
primaryKey: true
PRIMARY KEY (id)
foreign_key="users.id"
sortKey: 'createdAt#2024'
routing_key=tasks.high.v2
partitionKey: tenant-42
feature_key: new_checkout_2
config_key: a.b.c1
"key": "abc123def"
i18n key: home.title2
passing: 12/12
pass_rate: 98.5%
bypass_token_check=1
two-pass: first_pass=12ms second_pass=14ms
compass_pass: 7
uses: actions/cache@v3 with key: ${{ runner.os }}-${{ hashFiles('x') }}
password_reset_url: https://acme.dev/reset
secretKeyRef: {name: db, key: password}
valueFrom: secretKeyRef
secret/data/app
vault kv get secret/app
export TOKEN=$(cat token.txt)
TOKEN=$(vault read -field=x y)
curl -H "Authorization: Bearer $TOKEN" https://x
curl -H "Authorization: token ${GITHUB_TOKEN}" https://x
Authorization: Bearer <token>
Authorization: Basic <base64>
headers = {"Authorization": f"Bearer {token}"}
headers={"X-Api-Key": api_key}
client = OpenAI(api_key=os.environ["X"])
self._token: str | None = None
token = tokens[i]
token = next(tokens)
key = f"{repo}:{branch}"
key = hashlib.sha256(x).hexdigest()
password = getpass.getpass()
password = input("Password: ")
if not password: raise ValueError("password required")
assert user.password != "plain"
SELECT password FROM users WHERE id = 1
UPDATE users SET password = ? WHERE id = ?
WHERE token = :token
password VARCHAR(255) NOT NULL
password: <%= ENV['PW'] %>
password = "${var.db_password}"
secret = data.aws_secretsmanager_secret.x.arn
jwt.decode(token, key, algorithms=["HS256"])
JWT_ALGORITHM=HS256
auth_provider: auth0
OAuth2PasswordBearer(tokenUrl="token")
pwd: /home/x
author_email: none
md5: d41d8cd98f00b204e9800998ecf8427e
sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709
SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7
credentials: include
credentials: 'same-origin'
withCredentials: true
aws configure list-profiles
AWS_PROFILE=dev
GOOGLE_APPLICATION_CREDENTIALS=/etc/gcp.json
SECRET_NAME=prod/db
token budget: 200k
token usage: 12k/200k
Tokens: 1,204 in, 88 out
passed: 12
Secretary: Jane
secretary=Jane Doe
The Secretariat: Geneva2
secretion_rate: high7
passwordless: webauthn2
token: GPT2Tokenizer
token: Utf8Token
token: "the"
token: "fox"
token: 'fox'
{"token": "fox", "id": 7, "logprob": -0.2}
{"token": " jumps"}
{'token': 'Ġover'}
{"token": "##ing", "token_id": 12}
token='lazy' pos=NOUN
Token(type=IDENT, token='foo')
epic_key: ENG-42
epic_key=PLAT-1042 sprint=7
"epic_key": "ENG-1234"
"board_key": "ENG7-main"
epicKey: "PAY-204"
row_key: user#42a
cluster_key=node7a1
team_key: ENG2026
monkey: george7
monkey=chimp42
password: required field
password: Field required
password: This field is required.
password: field must be set
password: ensure this value has at least 8 characters
{"password": ["This field is required."]}
{"password": ["Ensure this field has at least 8 characters."]}
{'password': ['This password is too short.', 'This password is too common.']}
"password": "must be at least 12 characters"
"password": "cannot be blank"
"password": "Field required"
password: 'too short'
{"api_key": "The API key is required"}
password | varchar(255) | not null
password | character varying(255) | | not null |
| password | string | yes |
| password | the password of the user |
| `--password` | Password | none |
| Field | Type | \n| password | varchar(255) |
password | text
token | count
| token | meaning | \n| --- | --- |
| metric | tokens | pass | \n| a | 1204 | 12 |
Password   Reset
password  ok
password   required
Secret scanning   enabled
api_key     str       the key of the API
TOKEN       COUNT
users (name, password)
insert into users (name, password) values (?, ?)
insert into users (name, password) values (%s, %s)
INSERT INTO users (name, password) VALUES ($1, $2) RETURNING id
insert into users (name, password) values (:name, :password)
insert into users (name, password) values ('bob', NULL)
insert into users (name, token_count) values ('bob', 'a12b34')
CREATE USER x IDENTIFIED BY ?
alter role x with password null
ALTER USER x PASSWORD EXPIRE
cout << password << endl;
cout << token << "x1y2z3";
std::cout << "token " << token << std::endl;
cat <<EOF
1 << token_bits
docker run -p 8080:80 -p 5432:5432 acme/api
docker run -d --name db -p 127.0.0.1:5432:5432 postgres
docker compose -p shop_v2 up -d
mkdir -p build/a1
ssh -p 2222 bob@h
cp -p a1b2 c3
psql -p 5433 shop
mysql -u root -p
mysql -u root -p shop
mysql -h db -P 3307 -u root
git log -p main2
unzip -p a1.zip b2
curl -u "$USER:$TOKEN" https://x.dev
curl -b cookies.txt https://x.dev
curl -sSf -o out1 https://x.dev/a:b
http -v x.dev a=b1
session: 42
session_id=0198a3a0-0000-7000-8000-000000000001
sessionId: "0198a3a0-0000-7000-8000-000000000001"
"sessionId": "agent-7f3a9c"
cookie_path=/ session_timeout=30m
machine learning login page password field
default login page
the machine asks for a login and password then stops
src/a.py:1024:5:E501 line too long
src/a.py:1024:def f(a:int):return a
app.py:5432: error: x
10.0.0.1:5432: connection refused
0.0.0.0:8080:80:a
2001:0db8:85a3:1234:abcd:8a2e:0370:7334
2026-06-15T10:00:00:000 ok
arn:aws:iam::123456789012:role/admin
a:b:c:d:e
localhost:5432/shop
jdbc:postgresql://h:5432/db
jdbc:oracle:thin:@//h:1521/x
jdbc:oracle:thin:@h:1521:x
sqlplus /nolog
sqlplus / as sysdba
tcp(127.0.0.1:3306)
{"d": "2026-06-15", "k": "v", "p": 0.5, "q": "x"}
{"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4", "e": "AQAB"}
tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUM
LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0K
AGE-SECRET-KEY-1 is the prefix of an age key
age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
-----BEGIN CERTIFICATE REQUEST-----
-----BEGIN RSA PUBLIC KEY-----
PuTTY-User-Key-File-3: ssh-rsa
acme/api@feature.login
acme/api@release.candidate
checkout acme/web@fix.header, then acme/api@main
refs/heads/bob@topic.branch
@scope/pkg@beta.next
git@github.com:org/repo
git@gitlab.acme.dev:group/sub/repo.git
deploy@git.acme.dev:org/repo.git
rsync -a build/ ci@web.acme.dev:/srv/app
scp a.txt ci@web.acme.dev:~/in/
ssh root@10.0.0.1
systemctl restart app@prod.service
backup@daily.timer
getty@tty1.service
logo@dark.svg
bundle@main.js
config@v2.yaml
pkg@beta.2
pkg@1.2.x
index@2024.01.01
A@B.T
https://x.dev:8443/@scope/pkg
http://localhost:3000/a@b/c
http://x.dev:80/a/@vite/client
oci://x.dev:5000/acme/api@sha256:0a1b
service@prod.eu-west-1
http://localhost:8080?redirect=a@b
{"url":"https://x.dev","at":"a@b"}
<a href="https://x.dev">@bob</a>
"unk_token": "[UNK]"
"cls_token": "[CLS]", "mask_token": "<mask>"
tests/test_auth.py::test_token  PASSED  [ 10%]
Password policy   min12chars
api_key    VARCHAR(64)   NOT NULL
secret    Opaque   1   3d4h
NAME           TYPE     DATA   AGE\ndb-password    Opaque   1      3d4h12m
NAME  READY  STATUS\nauth-token-7f3a9c  1/1  Running
step,token,loss\n1,fox,0.2\n2,dog,0.3
insert into events (id, cache_key, token_count) values (1, 'abc123def', '12')
the password is hashed with bcrypt
the API key is read from .env
log in with password or passkey
mailto: links are allowed
mailto:?subject=hello
href="mailto:"
"""


def _hashes() -> list[str]:
    texts = []
    for number in range(8):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        texts += [
            digest,
            f"sha256:{digest}",
            f"commit {digest[:40]}",
            f"0198a3a0-{digest[:4]}-7{digest[4:7]}-8{digest[7:10]}-{digest[10:22]}",
            f'"integrity": "sha512-{_base64(digest)}"',
            f"docker.io/library/python@sha256:{digest}",
        ]
    return texts


HARMLESS_TEXTS = [line.replace(r"\n", "\n") for line in _WRITTEN.splitlines() if line] + _hashes()
