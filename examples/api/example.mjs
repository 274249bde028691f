// Calls the LTL API with nothing but Node's own modules (version 18 or newer).
//
//   LTL_ENDPOINT=http://127.0.0.1:8800 LTL_ACCESS_KEY_ID=… LTL_ACCESS_KEY_SECRET=… \
//       node example.mjs CHAIN_CODE TYPE_CODE ID [SIGNED.json VALUE]
//
// SIGNED.json is what `ltl device sign --output json` printed for VALUE. The signer is our own; @alicloud/pop-core does the
// same and may be used in its place (docs/api.md).
import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

// encode percent-encodes all but the unreserved characters of RFC 3986.
function encode(text) {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());
}

// form is the sorted parameters as they are signed, which is a form body too.
function form(parameters) {
  return Object.keys(parameters).sort().map((name) => encode(name) + "=" + encode(parameters[name])).join("&");
}

// sign is the signature of the parameters, HMAC-SHA1.
function sign(method, secret, parameters) {
  const text = [method, encode("/"), encode(form(parameters))].join("&");
  return createHmac("sha1", secret + "&").update(text).digest("base64");
}

// call calls an Action and returns its Data; a refusal is an error.
async function call(action, parameters) {
  const all = {
    ...parameters,
    Action: action, Version: "2019-05-10", ApiVersion: "1.0.0", Format: "JSON",
    AccessKeyId: process.env.LTL_ACCESS_KEY_ID, SignatureMethod: "HMAC-SHA1", SignatureVersion: "1.0",
    SignatureNonce: randomUUID(), Timestamp: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
  };
  all.Signature = sign("POST", process.env.LTL_ACCESS_KEY_SECRET, all);
  const response = await fetch(process.env.LTL_ENDPOINT, {
    method: "POST", body: form(all), headers: { "Content-Type": "application/x-www-form-urlencoded" },
  });
  const answer = await response.json();
  if (!answer.Success) {
    throw new Error(`${action}: ${answer.Code}: ${answer.Message}`);
  }
  return answer.Data;
}

const [chain, typeCode, number, signed, signedValue] = process.argv.slice(2);
const Key = `0001_${chain}_${typeCode}_${number}`, ProductKey = chain;
await call("SetData", { ProductKey, Key, Value: "21.5 °C *()'!~ +&=" });
console.log("uploaded", Key);
console.log("read", await call("GetData", { ProductKey, Key }));
const block = JSON.parse(await call("GetBlockChainInfo", { ProductKey, Key })).blockChainInfo;
console.log("block", block.blockHeight, block.blockHash, "endorsed by", block.endorsementNames);
if (signed) {
  const proof = JSON.parse(readFileSync(signed, "utf8"));
  const of = { ProductKey, Key: Key + "-signed" };
  await call("SetDataWithSignature", { ...of, Value: signedValue, IotIdSource: "2", ...proof });
  console.log("signed by device", JSON.parse(await call("GetBlockChainInfo", of)).blockChainInfo.iotId);
}
await call("SetData", { ProductKey, Key, Value: "another" }).catch((refused) => console.log("refused", refused.message));
