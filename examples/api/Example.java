import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Calls the LTL API with nothing but the JDK, version 17 or newer.
 *
 * <pre>LTL_ENDPOINT=http://127.0.0.1:8800 LTL_ACCESS_KEY_ID=… LTL_ACCESS_KEY_SECRET=… \
 *     java Example.java CHAIN_CODE TYPE_CODE ID [SIGNED.json VALUE]</pre>
 *
 * SIGNED.json is what `ltl device sign --output json` printed for VALUE. The signer is our own; aliyun-java-sdk-core does
 * the same and may be used in its place (docs/api.md). A program of yours would read answers with a JSON library.
 */
public class Example {
    /** Percent-encodes all but the unreserved characters of RFC 3986. */
    static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
    }

    /** The sorted parameters as they are signed, which is a form body too. */
    static String form(TreeMap<String, String> parameters) {
        return parameters.entrySet().stream().map(e -> encode(e.getKey()) + "=" + encode(e.getValue()))
            .collect(Collectors.joining("&"));
    }

    /** The signature of the parameters, HMAC-SHA1. */
    static String sign(String method, String secret, TreeMap<String, String> parameters) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA1");
        mac.init(new SecretKeySpec((secret + "&").getBytes(StandardCharsets.UTF_8), "HmacSHA1"));
        String text = method + "&" + encode("/") + "&" + encode(form(parameters));
        return Base64.getEncoder().encodeToString(mac.doFinal(text.getBytes(StandardCharsets.UTF_8)));
    }

    /** Calls an Action and returns the answer; a refusal is an exception. */
    static String call(HttpClient client, String action, Map<String, String> parameters) throws Exception {
        TreeMap<String, String> all = new TreeMap<>(parameters);
        all.putAll(Map.of("Action", action, "Version", "2019-05-10", "ApiVersion", "1.0.0", "Format", "JSON",
            "AccessKeyId", System.getenv("LTL_ACCESS_KEY_ID"), "SignatureMethod", "HMAC-SHA1", "SignatureVersion", "1.0",
            "SignatureNonce", UUID.randomUUID().toString(),
            "Timestamp", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString()));
        all.put("Signature", sign("POST", System.getenv("LTL_ACCESS_KEY_SECRET"), all));
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("LTL_ENDPOINT")))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .POST(HttpRequest.BodyPublishers.ofString(form(all))).build();
        String answer = client.send(request, HttpResponse.BodyHandlers.ofString()).body();
        if (!answer.contains("\"Success\":true")) {
            throw new IllegalStateException(action + ": " + answer);
        }
        return answer;
    }

    /** The text of a member of an answer. */
    static String member(String answer, String name) {
        var found = Pattern.compile("\"" + name + "\":\\s*\"?((?:[^\"\\\\]|\\\\.)*)\"?").matcher(answer);
        return found.find() ? found.group(1) : "";
    }

    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        String chain = args[0], key = "0001_" + chain + "_" + args[1] + "_" + args[2];
        Map<String, String> of = Map.of("ProductKey", chain, "Key", key);
        call(client, "SetData", Map.of("ProductKey", chain, "Key", key, "Value", "21.5 °C *()'!~ +&="));
        System.out.println("uploaded " + key);
        System.out.println("read " + member(call(client, "GetData", of), "Data"));
        String block = call(client, "GetBlockChainInfo", of).replace("\\\"", "\""); // Data is JSON in a text
        System.out.println("block " + member(block, "blockHeight").replaceAll(",.*", "") + " " + member(block, "blockHash")
            + " endorsed by " + member(block, "endorsementNames"));
        if (args.length > 3) {
            Map<String, String> parameters = new TreeMap<>(Map.of("ProductKey", chain, "Key", key + "-signed",
                "Value", args[4], "IotIdSource", "2"));
            var proof = Pattern.compile("\"(\\w+)\":\\s*\"([^\"]*)\"").matcher(Files.readString(Path.of(args[3])));
            while (proof.find()) {
                parameters.put(proof.group(1), proof.group(2));
            }
            call(client, "SetDataWithSignature", parameters);
            block = call(client, "GetBlockChainInfo", Map.of("ProductKey", chain, "Key", key + "-signed"));
            System.out.println("signed by device " + member(block.replace("\\\"", "\""), "iotId"));
        }
        try {
            call(client, "SetData", Map.of("ProductKey", chain, "Key", key, "Value", "another"));
        } catch (IllegalStateException refused) {
            System.out.println("refused " + refused.getMessage());
        }
    }
}
