"""Signs requests a second time, by botocore, and compares. Reads them from standard input, one in JSON a line."""

import base64
import json
import sys
from datetime import datetime
from unittest import mock

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEYS = Credentials("AKIDEXAMPLE", "se/cret+key", "tok/en==")
checked = 0
for line in sys.stdin:
    sent = json.loads(line)
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    url = f"http://{headers['host']}{sent['path']}"
    request = AWSRequest(method=sent["method"], url=url, data=base64.b64decode(sent["body"]))
    signer = auth.SigV4Auth(KEYS, "bedrock", "eu-west-1")
    when = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    # The clock is read in one place, whose name has changed between versions.
    for name in ("get_current_datetime", "datetime"):
        if hasattr(auth, name):
            patched = mock.patch.object(auth, name)
            break
    with patched as clock:
        clock.return_value = when
        clock.utcnow.return_value = when
        clock.now.return_value = when
        signer.add_auth(request)
    expected, actual = request.headers["Authorization"], headers["authorization"]
    if expected != actual:
        sys.exit(f"{sent['path']}\nbotocore: {expected}\n    sent: {actual}")
    checked += 1
if checked < 100:
    sys.exit(f"only {checked} requests")
print(checked)
