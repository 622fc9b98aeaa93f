// Java's own HTTP client: chat, stream, upload, 413 and 429. Prints one JSON document.

import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

public class Client {
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    /** A body of a given length that takes no memory. */
    static class Zeros extends InputStream {
        private long left;

        Zeros(long left) {
            this.left = left;
        }

        @Override
        public int read() {
            return left-- > 0 ? 0 : -1;
        }

        @Override
        public int read(byte[] buffer, int start, int length) {
            if (left <= 0) {
                return -1;
            }
            int given = (int) Math.min(left, length);
            left -= given;
            return given;
        }
    }

    static HttpResponse<String> send(String path, String kind, BodyPublisher body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("GATEWAY_URL") + path))
                .header("Authorization", "Bearer " + System.getenv("GATEWAY_KEY"))
                .header("Content-Type", kind)
                .POST(body)
                .build();
        return CLIENT.send(request, BodyHandlers.ofString());
    }

    static HttpResponse<String> ask(String path, String more) throws Exception {
        String question = "{\"model\": \"demo\", " + more + "\"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}";
        return send(path, "application/json", BodyPublishers.ofString(question));
    }

    static HttpResponse<String> upload(long size) throws Exception {
        BodyPublisher zeros = BodyPublishers.ofInputStream(() -> new Zeros(size));
        return send("/upload", "application/octet-stream", BodyPublishers.fromPublisher(zeros, size));
    }

    static String streamed(String text) {
        return Pattern.compile("\"content\": ?\"([^\"]*)\"").matcher(text).results()
                .map(found -> found.group(1)).collect(Collectors.joining());
    }

    public static void main(String[] arguments) throws Exception {
        long size = Long.parseLong(System.getenv("UPLOAD_BYTES"));
        long tooLarge = Long.parseLong(System.getenv("TOO_LARGE_BYTES"));
        String chat = ask("/v1/chat/completions", "").body();
        String stream = ask("/v1/chat/completions", "\"stream\": true, ").body();
        String received = upload(size).body();
        int rejected;
        try {
            rejected = upload(tooLarge).statusCode();
        } catch (Exception error) {
            System.err.println(error);
            rejected = 0;
        }
        int limited = ask("/limited/v1/chat/completions", "").statusCode();
        System.out.printf(
                "{\"chat\": %s, \"stream\": \"%s\", \"upload\": \"%s\", \"too_large\": %d, \"limited\": %d}%n",
                chat.contains("You said: Hello!"), streamed(stream), received.strip(), rejected, limited);
    }
}
