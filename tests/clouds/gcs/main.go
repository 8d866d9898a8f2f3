// A server that speaks GCS's protocol, over a folder: fake-gcs-server, and what it lacks of the XML protocol, which is how an object is
// uploaded there: under a condition that is a header, and answered by headers. (It has all that in the JSON protocol.)
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	folder, address := os.Args[1], os.Args[2]
	host, _, _ := strings.Cut(address, ":")
	options := fakestorage.Options{StorageRoot: folder, PublicHost: host, NoListener: true}
	server, err := fakestorage.NewServerWithOptions(options)
	if err != nil {
		log.Fatal(err)
	}
	inner := server.HTTPHandler()
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPut {
			upload(inner, answer, request)
		} else {
			inner.ServeHTTP(answer, request)
		}
	})))
}

func upload(inner http.Handler, answer http.ResponseWriter, request *http.Request) {
	_, name, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
	query := url.Values{"uploadType": {"media"}, "name": {name}}
	if generation := request.Header.Get("x-goog-if-generation-match"); generation != "" {
		query.Set("ifGenerationMatch", generation)
	}
	request.URL.RawQuery = query.Encode()
	recorded := httptest.NewRecorder()
	inner.ServeHTTP(recorded, request)
	var object struct{ Etag, Generation string }
	if recorded.Code == http.StatusOK {
		if err := json.Unmarshal(recorded.Body.Bytes(), &object); err != nil {
			log.Fatal(err)
		}
		answer.Header().Set("ETag", object.Etag)
		answer.Header().Set("x-goog-generation", object.Generation)
	}
	answer.WriteHeader(recorded.Code)
	answer.Write(recorded.Body.Bytes())
}
