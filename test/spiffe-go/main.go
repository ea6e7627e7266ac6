// The referee: does with the SPIFFE Workload API what a program that uses go-spiffe does. What it learns goes to stdout, one JSON object
// a line. The socket is the one of SPIFFE_ENDPOINT_SOCKET, as for any such program.
//
//	fetch AUDIENCE DIRECTORY   each method once, verified; the chain, key and bundle as PEM files in DIRECTORY
//	watch                      the X.509 and JWT material, and again at each change, until stdin ends
//	serve                      an mTLS server for callers of the own trust domain, until stdin ends
//	call ADDRESS SPIFFE-ID     one mTLS call to a server that must be SPIFFE-ID
//	refused                    what fetching is answered with
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/status"
)

const limit = 60 * time.Second

var printing sync.Mutex

func say(fields map[string]any) {
	printing.Lock()
	defer printing.Unlock()
	line, err := json.Marshal(fields)
	check(err)
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("which part?")
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "fetch":
		fetch(args[0], args[1])
	case "watch":
		watch()
	case "serve":
		serve()
	case "call":
		call(args[0], args[1])
	case "refused":
		refused()
	default:
		log.Fatalf("no such part: %s", os.Args[1])
	}
}

func untilStdinEnds() {
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func fetch(audience, directory string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := workloadapi.New(ctx)
	check(err)
	defer client.Close()

	x509Context, err := client.FetchX509Context(ctx)
	check(err)
	for index, svid := range x509Context.SVIDs {
		id, _, err := x509svid.Verify(svid.Certificates, x509Context.Bundles)
		check(err)
		chain, key, err := svid.Marshal()
		check(err)
		bundle, err := x509Context.Bundles.GetX509BundleForTrustDomain(id.TrustDomain())
		check(err)
		roots, err := bundle.Marshal()
		check(err)
		for name, content := range map[string][]byte{"chain": chain, "key": key, "bundle": roots} {
			check(os.WriteFile(filepath.Join(directory, fmt.Sprintf("%s-%d.pem", name, index)), content, 0o600))
		}
		say(map[string]any{"part": "x509", "id": id.String(), "hint": svid.Hint, "serial": svid.Certificates[0].SerialNumber.Text(16)})
	}

	x509Bundles, err := client.FetchX509Bundles(ctx)
	check(err)
	for _, bundle := range x509Bundles.Bundles() {
		say(map[string]any{"part": "x509-bundle", "trustDomain": bundle.TrustDomain().Name(), "authorities": len(bundle.X509Authorities())})
	}

	jwtBundles, err := client.FetchJWTBundles(ctx)
	check(err)
	for _, bundle := range jwtBundles.Bundles() {
		say(map[string]any{"part": "jwt-bundle", "trustDomain": bundle.TrustDomain().Name(), "authorities": len(bundle.JWTAuthorities())})
	}

	svids, err := client.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: audience})
	check(err)
	for _, svid := range svids {
		// Once by the library, with the bundle, and once by weft.
		own, err := jwtsvid.ParseAndValidate(svid.Marshal(), jwtBundles, []string{audience})
		check(err)
		checked, err := client.ValidateJWTSVID(ctx, svid.Marshal(), audience)
		check(err)
		if checked.ID != own.ID {
			log.Fatalf("%s and %s", checked.ID, own.ID)
		}
		one, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience, Subject: own.ID})
		check(err)
		if one.ID != own.ID {
			log.Fatalf("%s instead of %s", one.ID, own.ID)
		}
		_, err = client.ValidateJWTSVID(ctx, svid.Marshal(), "somebody-else")
		say(map[string]any{"part": "jwt", "id": own.ID.String(), "hint": svid.Hint, "audience": checked.Audience, "elsewhere": status.Code(err).String()})
	}
	_, err = client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience, Subject: spiffeid.RequireFromString("spiffe://mesh.local/ns/default/sa/not-mine")})
	say(map[string]any{"part": "jwt-of-another", "code": status.Code(err).String()})
}

type watcher struct{}

func (watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	ids, hints, serials := []string{}, []string{}, []string{}
	for _, svid := range update.SVIDs {
		// Whatever the moment, what is given out must verify by what is given with it.
		_, _, err := x509svid.Verify(svid.Certificates, update.Bundles)
		check(err)
		ids = append(ids, svid.ID.String())
		hints = append(hints, svid.Hint)
		serials = append(serials, svid.Certificates[0].SerialNumber.Text(16))
	}
	roots := []string{}
	for _, bundle := range update.Bundles.Bundles() {
		for _, authority := range bundle.X509Authorities() {
			sum := sha256.Sum256(authority.Raw)
			roots = append(roots, hex.EncodeToString(sum[:8]))
		}
	}
	say(map[string]any{"part": "x509", "ids": ids, "hints": hints, "serials": serials, "roots": roots})
}

func (watcher) OnX509ContextWatchError(err error) {
	say(map[string]any{"part": "x509-error", "code": status.Code(err).String(), "message": err.Error()})
}

func (watcher) OnJWTBundlesUpdate(update *jwtbundle.Set) {
	keys := []string{}
	for _, bundle := range update.Bundles() {
		for id := range bundle.JWTAuthorities() {
			keys = append(keys, id)
		}
	}
	say(map[string]any{"part": "jwt-bundle", "keys": keys})
}

func (watcher) OnJWTBundlesWatchError(err error) {
	say(map[string]any{"part": "jwt-bundle-error", "code": status.Code(err).String(), "message": err.Error()})
}

func watch() {
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		_ = workloadapi.WatchX509Context(ctx, watcher{})
	}()
	go func() {
		defer both.Done()
		_ = workloadapi.WatchJWTBundles(ctx, watcher{})
	}()
	untilStdinEnds()
	cancel()
	both.Wait()
}

func serve() {
	ctx := context.Background()
	source, err := workloadapi.NewX509Source(ctx)
	check(err)
	defer source.Close()
	own, err := source.GetX509SVID()
	check(err)
	listener, err := spiffetls.ListenWithMode(ctx, "tcp", "127.0.0.1:0",
		spiffetls.MTLSServerWithSource(tlsconfig.AuthorizeMemberOf(own.ID.TrustDomain()), source))
	check(err)
	defer listener.Close()
	say(map[string]any{"part": "serving", "address": listener.Addr().String(), "id": own.ID.String()})
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				line, err := bufio.NewReader(connection).ReadString('\n')
				if err != nil {
					say(map[string]any{"part": "turned-away", "message": err.Error()})
					return
				}
				peer, err := spiffetls.PeerIDFromConn(connection)
				check(err)
				fmt.Fprintf(connection, "%s, said %s", peer, line)
			}()
		}
	}()
	untilStdinEnds()
}

func call(address, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	source, err := workloadapi.NewX509Source(ctx)
	check(err)
	defer source.Close()
	connection, err := spiffetls.DialWithMode(ctx, "tcp", address,
		spiffetls.MTLSClientWithSource(tlsconfig.AuthorizeID(spiffeid.RequireFromString(id)), source))
	check(err)
	defer connection.Close()
	fmt.Fprintln(connection, "hello")
	answer, err := bufio.NewReader(connection).ReadString('\n')
	check(err)
	say(map[string]any{"part": "answer", "text": answer})
}

func refused() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := workloadapi.New(ctx)
	check(err)
	defer client.Close()
	codes := map[string]any{"part": "refused"}
	_, err = client.FetchX509SVID(ctx)
	codes["FetchX509SVID"] = status.Code(err).String()
	_, err = client.FetchX509Bundles(ctx)
	codes["FetchX509Bundles"] = status.Code(err).String()
	_, err = client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "a"})
	codes["FetchJWTSVID"] = status.Code(err).String()
	_, err = client.FetchJWTBundles(ctx)
	codes["FetchJWTBundles"] = status.Code(err).String()
	say(codes)
}
