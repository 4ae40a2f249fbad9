package main

import (
	"fmt"
	"io"
	"sync"
)

// sayTo writes progress to w, a line at a time.
func sayTo(w io.Writer) func(format string, args ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, format+"\n", args...)
	}
}
