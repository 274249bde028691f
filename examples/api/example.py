"""Calls the LTL API with nothing but Python's standard library.

    LTL_ENDPOINT=http://127.0.0.1:8800 LTL_ACCESS_KEY_ID=… LTL_ACCESS_KEY_SECRET=… \
        python3 example.py CHAIN_CODE TYPE_CODE ID [SIGNED.json VALUE]

SIGNED.json is what `ltl device sign --output json` printed for VALUE. The signer is our own; aliyun-python-sdk-core does the
same and may be used in its place (docs/api.md).
"""
import base64
import datetime
import hashlib
import hmac
import json
import os
import sys
import urllib.parse
import urllib.request
import uuid


def encode(text):
    """Percent-encodes all but the unreserved characters of RFC 3986."""
    return urllib.parse.quote(str(text), safe="~")


def sign(method, secret, parameters):
    """The signature of the sorted parameters, HMAC-SHA1."""
    canonical = "&".join(f"{encode(k)}={encode(v)}" for k, v in sorted(parameters.items()))
    text = f"{method}&{encode('/')}&{encode(canonical)}"
    mac = hmac.new((secret + "&").encode(), text.encode(), hashlib.sha1)
    return base64.b64encode(mac.digest()).decode()


def call(action, **parameters):
    """Calls an Action and returns its Data; a refusal is an error."""
    now = datetime.datetime.now(datetime.timezone.utc)
    parameters |= {
        "Action": action, "Version": "2019-05-10", "ApiVersion": "1.0.0", "Format": "JSON",
        "AccessKeyId": os.environ["LTL_ACCESS_KEY_ID"], "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex, "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    parameters["Signature"] = sign("POST", os.environ["LTL_ACCESS_KEY_SECRET"], parameters)
    body = urllib.parse.urlencode(parameters).encode()
    try:
        with urllib.request.urlopen(os.environ["LTL_ENDPOINT"], body, timeout=30) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as refused:  # the call did not reach the rules of the ledger
        answer = json.load(refused)
    if not answer.get("Success"):
        raise RuntimeError(f"{action}: {answer['Code']}: {answer['Message']}")
    return answer["Data"]


def main(chain, type_code, number, signed=None, signed_value=None):
    key = f"0001_{chain}_{type_code}_{number}"
    call("SetData", ProductKey=chain, Key=key, Value="21.5 °C *()'!~ +&=")
    print("uploaded", key)
    print("read", call("GetData", ProductKey=chain, Key=key))
    block = json.loads(call("GetBlockChainInfo", ProductKey=chain, Key=key))["blockChainInfo"]
    print("block", block["blockHeight"], block["blockHash"], "endorsed by", block["endorsementNames"])
    if signed:
        with open(signed, encoding="utf-8") as file:
            proof = json.load(file)
        call("SetDataWithSignature", ProductKey=chain, Key=key + "-signed", Value=signed_value, IotIdSource="2", **proof)
        block = json.loads(call("GetBlockChainInfo", ProductKey=chain, Key=key + "-signed"))["blockChainInfo"]
        print("signed by device", block["iotId"])
    try:
        call("SetData", ProductKey=chain, Key=key, Value="another")
    except RuntimeError as refused:
        print("refused", refused)


if __name__ == "__main__":
    main(*sys.argv[1:])
