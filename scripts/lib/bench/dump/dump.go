// Package dump is what a control plane served to each of its proxies, as the load client saw it: written by load, served again by peer.
package dump

import (
	"bufio"
	"encoding/gob"
	"os"
)

// The types that a proxy asks for, in the order in which the load client numbers them.
const (
	CDS = iota
	EDS
	LDS
	RDS
	VHDS
	SDS
	ECDS
	Types
)

const prefix = "type.googleapis.com/envoy."

var URLs = [Types]string{
	prefix + "config.cluster.v3.Cluster",
	prefix + "config.endpoint.v3.ClusterLoadAssignment",
	prefix + "config.listener.v3.Listener",
	prefix + "config.route.v3.RouteConfiguration",
	prefix + "config.route.v3.VirtualHost",
	prefix + "extensions.transport_sockets.tls.v3.Secret",
	prefix + "config.core.v3.TypedExtensionConfig",
}

var Names = [Types]string{"CDS", "EDS", "LDS", "RDS", "VHDS", "SDS", "ECDS"}

// TypeOf is the number of a type URL, -1 where the client asks for no such type.
func TypeOf(url string) int {
	for i := range URLs {
		if URLs[i] == url {
			return i
		}
	}
	return -1
}

// Resource is one resource; equal ones are stored once, and sets refer to them by their place in File.Resources.
type Resource struct {
	Name string
	// Of the value of the Any: the message itself.
	Body []byte
}

// File is the state of all proxies at one moment. Proxies with equal sets of a type share the set.
type File struct {
	Resources []Resource
	// By type: each distinct set, sorted by name.
	Sets [Types][][]int32
	// By node id and type: the set, -1 where the proxy asked for none.
	Nodes map[string][Types]int32
}

func Write(path string, file *File) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(out, 1<<20)
	if err := gob.NewEncoder(buffered).Encode(file); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return out.Close()
}

func Read(path string) (*File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	file := &File{}
	return file, gob.NewDecoder(bufio.NewReaderSize(in, 1<<20)).Decode(file)
}
