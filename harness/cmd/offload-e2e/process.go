package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processStart is when a process began, in clock ticks since the machine booted:
// field 22 of /proc/PID/stat, proc(5). With its number it names a process for good,
// though the number is given again. A zombie has ended and is an error.
func processStart(pid int) (uint64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// Field 2 is the program's name in parentheses and may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const state, start = 3 - 3, 22 - 3
	if len(fields) <= start {
		return 0, fmt.Errorf("/proc/%d/stat has only %d fields", pid, len(fields)+2)
	}
	if s := fields[state]; s == "Z" || s == "X" {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(fields[start], 10, 64)
}
