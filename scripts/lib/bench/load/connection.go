package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	streamID = 1
	// Of a DATA frame, before the server says that it takes more.
	frameBytes = 16384
)

var received atomic.Int64

// connection is one HTTP/2 connection with one gRPC stream, as an Envoy has it: its windows are said once, at the start, and never change.
type connection struct {
	socket net.Conn
	framer *http2.Framer
	out    *bufio.Writer
	window uint32
	// Bytes that were taken and not given back yet, of the connection and of the stream.
	unreturned uint32

	mu   sync.Mutex
	cond *sync.Cond
	// Messages that wait to be sent.
	queue [][]byte
	// How much the server takes now, on the connection and on the stream.
	connectionWindow, streamWindow int64
	initialWindow                  int64
	closed                         bool
	// Closed when the server answers the ping that is under way.
	pinged atomic.Pointer[chan struct{}]
}

func dial(address, path, authorization string, window uint32) (*connection, error) {
	network, target := "tcp", address
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		network, target = "unix", socket
	}
	socket, err := net.Dial(network, target)
	if err != nil {
		return nil, err
	}
	c := &connection{socket: socket, out: bufio.NewWriterSize(socket, 4096), window: window, connectionWindow: 65535, streamWindow: 65535, initialWindow: 65535}
	c.cond = sync.NewCond(&c.mu)
	c.framer = http2.NewFramer(c.out, bufio.NewReaderSize(socket, 32<<10))
	c.framer.SetReuseFrames()
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)

	c.out.WriteString(http2.ClientPreface)
	c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	c.framer.WriteWindowUpdate(0, window-65535)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "weft"},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"authorization", authorization},
	} {
		if field[1] != "" {
			encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1], Sensitive: field[0] == "authorization"})
		}
	}
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: streamID, BlockFragment: block.Bytes(), EndHeaders: true})
	if err := c.out.Flush(); err != nil {
		socket.Close()
		return nil, err
	}
	go c.write()
	return c, nil
}

// send puts a message in the queue; it never waits.
func (c *connection) send(message []byte) {
	framed := make([]byte, 5, 5+len(message))
	size := len(message)
	framed[1], framed[2], framed[3], framed[4] = byte(size>>24), byte(size>>16), byte(size>>8), byte(size)
	c.mu.Lock()
	c.queue = append(c.queue, append(framed, message...))
	c.mu.Unlock()
	c.cond.Broadcast()
}

// write sends what is queued, as far as the server's windows let it.
func (c *connection) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for !c.closed && (len(c.queue) == 0 || min(c.connectionWindow, c.streamWindow) <= 0) {
			c.out.Flush()
			c.cond.Wait()
		}
		if c.closed {
			return
		}
		n := int(min(c.connectionWindow, c.streamWindow, int64(len(c.queue[0])), frameBytes))
		c.framer.WriteData(streamID, false, c.queue[0][:n])
		c.connectionWindow -= int64(n)
		c.streamWindow -= int64(n)
		if c.queue[0] = c.queue[0][n:]; len(c.queue[0]) == 0 {
			c.queue[0] = nil
			c.queue = c.queue[1:]
		}
	}
}

func (c *connection) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cond.Broadcast()
	c.socket.Close()
}

// read gives the bytes of the gRPC stream to take until it ends, and says why it ended.
func (c *connection) read(take func([]byte) error) error {
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.DataFrame:
			received.Add(int64(len(frame.Data())))
			if err := take(frame.Data()); err != nil {
				return err
			}
			c.giveBack(frame.Header().Length)
			if frame.StreamEnded() {
				return errors.New("the server ended the stream without a status")
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamEnded() {
				return statusOf(frame)
			}
		case *http2.SettingsFrame:
			c.take(frame)
		case *http2.WindowUpdateFrame:
			c.mu.Lock()
			if frame.StreamID == 0 {
				c.connectionWindow += int64(frame.Increment)
			} else {
				c.streamWindow += int64(frame.Increment)
			}
			c.mu.Unlock()
			c.cond.Broadcast()
		case *http2.PingFrame:
			if !frame.IsAck() {
				c.locked(func() { c.framer.WritePing(true, frame.Data) })
			} else if answered := c.pinged.Swap(nil); answered != nil {
				close(*answered)
			}
		case *http2.RSTStreamFrame:
			return fmt.Errorf("the server reset the stream: %v", frame.ErrCode)
		case *http2.GoAwayFrame:
			return fmt.Errorf("the server closed the connection: %v %s", frame.ErrCode, frame.DebugData())
		}
	}
}

// ping asks the server for a sign of life, as Envoy's keepalive does; what it returns is closed when that comes.
func (c *connection) ping() <-chan struct{} {
	answered := make(chan struct{})
	c.pinged.Store(&answered)
	c.locked(func() { c.framer.WritePing(false, [8]byte{1}) })
	return answered
}

func (c *connection) locked(write func()) {
	c.mu.Lock()
	write()
	c.out.Flush()
	c.mu.Unlock()
}

// giveBack returns what was read to the server's windows, half a window at a time.
func (c *connection) giveBack(n uint32) {
	if c.unreturned += n; c.unreturned < c.window/2 {
		return
	}
	c.locked(func() {
		c.framer.WriteWindowUpdate(0, c.unreturned)
		c.framer.WriteWindowUpdate(streamID, c.unreturned)
	})
	c.unreturned = 0
}

func (c *connection) take(settings *http2.SettingsFrame) {
	if settings.IsAck() {
		return
	}
	c.locked(func() {
		if value, ok := settings.Value(http2.SettingInitialWindowSize); ok {
			c.streamWindow += int64(value) - c.initialWindow
			c.initialWindow = int64(value)
		}
		c.framer.WriteSettingsAck()
	})
	c.cond.Broadcast()
}

func statusOf(trailers *http2.MetaHeadersFrame) error {
	status, message := "", ""
	for _, field := range trailers.Fields {
		switch field.Name {
		case "grpc-status", ":status":
			status += field.Name + " " + field.Value + " "
		case "grpc-message":
			message = field.Value
		}
	}
	return fmt.Errorf("the server ended the stream: %s%s", status, message)
}
