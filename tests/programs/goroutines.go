// The Go program under test: 1,000 goroutines, and an HTTP server that answers the program itself.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"
)

func fail(what string, err error) {
	fmt.Println(what, "failed:", err)
	os.Exit(1)
}

func sum(count int) int {
	results := make(chan int)
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			time.Sleep(time.Duration(n%10) * time.Millisecond)
			results <- n
		}(i)
	}
	go func() { group.Wait(); close(results) }()
	total := 0
	for n := range results {
		total += n
	}
	return total
}

// Loops that never call anything: the runtime has to preempt them by a signal.
func spinners() int {
	stop := time.Now().Add(50 * time.Millisecond)
	done := make(chan bool)
	for i := 0; i < 2*runtime.NumCPU(); i++ {
		go func() {
			x := uint64(1)
			for j := 0; j < 60_000_000 && x != 0; j++ {
				x = x*6364136223846793005 + 1442695040888963407 | 1
			}
			done <- true
		}()
	}
	ticks := 0
	for time.Now().Before(stop) {
		time.Sleep(time.Millisecond)
		ticks++
	}
	for i := 0; i < 2*runtime.NumCPU(); i++ {
		<-done
	}
	return ticks
}

func serve() []string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail("listen", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hash/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%x", sha256.Sum256([]byte(strings.TrimPrefix(r.URL.Path, "/hash/"))))
	})
	go http.Serve(listener, mux)
	var mutex sync.Mutex
	var group sync.WaitGroup
	var lines []string
	for i := 0; i < 100; i++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			reply, err := http.Get(fmt.Sprintf("http://%s/hash/%d", listener.Addr(), n))
			if err != nil {
				fail("get", err)
			}
			defer reply.Body.Close()
			body, err := io.ReadAll(reply.Body)
			if err != nil {
				fail("read", err)
			}
			mutex.Lock()
			lines = append(lines, fmt.Sprintf("%02d %d %s", n, reply.StatusCode, body))
			mutex.Unlock()
		}(i)
	}
	group.Wait()
	sort.Strings(lines)
	return lines
}

func main() {
	fmt.Println("sum of 1000 goroutines:", sum(1000))
	fmt.Println("timers ran beside spinners:", spinners() > 0)
	for _, line := range serve() {
		fmt.Println(line)
	}
	blocks := make([][]byte, 0)
	for i := 0; i < 200; i++ {
		blocks = append(blocks, make([]byte, 1<<20))
		blocks[i][i] = byte(i)
		if i%20 == 0 {
			blocks = blocks[:0:0]
			for len(blocks) <= i {
				blocks = append(blocks, nil)
			}
			runtime.GC()
		}
	}
	defer func() { fmt.Println("recovered:", recover() != nil); os.Exit(3) }()
	var nothing *int
	*nothing = 1 // SIGSEGV becomes a panic.
}
