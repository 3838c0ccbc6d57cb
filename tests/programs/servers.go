// Two servers of one program, which lies at the same addresses in each, and their client, which is a third: all three
// are alive together, and what each remembers is its own.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
)

const clients, requests = 4, 50

func must(what string, err error) {
	if err != nil {
		fmt.Println(what, "failed:", err)
		os.Exit(1)
	}
}

// Says where it listens, and serves until its input ends. It remembers all that it was told, for each client.
func serve(name string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must("listen", err)
	fmt.Println(listener.Addr())
	var lock sync.Mutex
	told := map[string][]string{}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		client := r.FormValue("client")
		told[client] = append(told[client], r.FormValue("word"))
		fmt.Fprint(w, name, " ", strings.Join(told[client], ","))
	}))
	io.Copy(io.Discard, os.Stdin)
	count := 0
	for _, words := range told {
		count += len(words)
	}
	os.Exit(count % 128)
}

type server struct {
	name    string
	process *exec.Cmd
	input   io.Closer
	address string
}

func start(name string) server {
	program, err := os.Executable()
	must("executable", err)
	process := exec.Command(program, name)
	input, err := process.StdinPipe()
	must("stdin", err)
	output, err := process.StdoutPipe()
	must("stdout", err)
	must("start", process.Start())
	address, err := bufio.NewReader(output).ReadString('\n')
	must("address", err)
	return server{name, process, input, strings.TrimSpace(address)}
}

// Each word is answered with all words so far.
func talk(to server, client int) {
	wanted := to.name + " "
	for i := 0; i < requests; i++ {
		word := fmt.Sprint(to.name, client, "-", i)
		if i > 0 {
			wanted += ","
		}
		wanted += word
		answer, err := http.Get(fmt.Sprint("http://", to.address, "/?client=", client, "&word=", word))
		must("get", err)
		body, err := io.ReadAll(answer.Body)
		must("answer", err)
		answer.Body.Close()
		if string(body) != wanted {
			fmt.Printf("%q instead of %q\n", body, wanted)
			os.Exit(2)
		}
	}
}

func main() {
	if len(os.Args) > 1 {
		serve(os.Args[1])
	}
	servers := []server{start("first"), start("second")}
	var group sync.WaitGroup
	for client := 0; client < clients; client++ {
		for _, to := range servers {
			group.Add(1)
			go func(to server, client int) {
				defer group.Done()
				talk(to, client)
			}(to, client)
		}
	}
	group.Wait()
	for _, one := range servers {
		one.input.Close()
		one.process.Wait()
		fmt.Println(one.name, "was told", one.process.ProcessState.ExitCode(), "words more than a multiple of 128")
	}
}
