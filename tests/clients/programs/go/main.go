// Go's own HTTP client: chat, stream, upload, 413 and 429. Prints one JSON document.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

const question = `{"model": "demo", %s"messages": [{"role": "user", "content": "Hello!"}]}`

// zeros is a body of a given length that takes no memory.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func send(path string, kind string, body io.Reader, length int64) (int, string) {
	request, err := http.NewRequest("POST", os.Getenv("GATEWAY_URL")+path, body)
	if err != nil {
		panic(err)
	}
	request.ContentLength = length
	request.Header.Set("Authorization", "Bearer "+os.Getenv("GATEWAY_KEY"))
	request.Header.Set("Content-Type", kind)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

func ask(path string, more string) (int, string) {
	body := []byte(fmt.Sprintf(question, more))
	return send(path, "application/json", bytes.NewReader(body), int64(len(body)))
}

func upload(size int) (int, string) {
	return send("/upload", "application/octet-stream", io.LimitReader(zeros{}, int64(size)), int64(size))
}

func streamed(text string) string {
	said := ""
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if json.Unmarshal([]byte(strings.TrimPrefix(lines.Text(), "data: ")), &chunk) == nil {
			for _, choice := range chunk.Choices {
				said += choice.Delta.Content
			}
		}
	}
	return said
}

func main() {
	size, _ := strconv.Atoi(os.Getenv("UPLOAD_BYTES"))
	tooLarge, _ := strconv.Atoi(os.Getenv("TOO_LARGE_BYTES"))
	_, chat := ask("/v1/chat/completions", "")
	_, stream := ask("/v1/chat/completions", `"stream": true, `)
	_, received := upload(size)
	rejected, problem := upload(tooLarge)
	limited, _ := ask("/limited/v1/chat/completions", "")
	if rejected != 413 {
		fmt.Fprintln(os.Stderr, problem)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"chat":      strings.Contains(chat, "You said: Hello!"),
		"stream":    streamed(stream),
		"upload":    strings.TrimSpace(received),
		"too_large": rejected,
		"limited":   limited,
	})
}
