package qemu

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"offload-e2e/harness/provider/qemu/qmp"
)

// The programs looked for on PATH where none are named.
const (
	DefaultBinary    = "qemu-system-x86_64"
	DefaultImageTool = "qemu-img"
)

// Oldest QEMU that has "-netdev stream".
const oldestMajor, oldestMinor = 7, 2

// QEMU itself needs memory beside its guest's: code, device state, and under
// TCG translated code.
const overheadMiB = 600

// Preflight is what a lab needs of the host, to be checked before it is built.
type Preflight struct {
	// Binary and ImageTool are "qemu-system-x86_64" and "qemu-img" when empty.
	Binary, ImageTool string
	// Machines is how many run at the same time, MemoryMiB each one's memory
	// in MiB (DefaultMemoryMiB when 0).
	Machines, MemoryMiB int
	// StateDir is where disks go, DiskMiB how much room they need in MiB.
	StateDir string
	DiskMiB  int
}

// Check is one question to the host.
type Check struct {
	// Name says what is checked: "QEMU", "memory".
	Name string
	// Run returns what was found, or an error that ends with a way out.
	Run func(context.Context) (found string, err error)
}

// Checks are all questions, in the order of what to mend first.
func (p Preflight) Checks() []Check {
	p.Binary = cmp.Or(p.Binary, DefaultBinary)
	p.ImageTool = cmp.Or(p.ImageTool, DefaultImageTool)
	p.MemoryMiB = cmp.Or(p.MemoryMiB, DefaultMemoryMiB)
	return []Check{
		{"QEMU", p.checkVersion},
		{"QEMU stream networking", p.checkStream},
		{"qemu-img", p.checkImageTool},
		{"memory", p.checkMemory},
		{"disk space", p.checkDisk},
	}
}

// Run asks all questions, and joins the errors.
func (p Preflight) Run(ctx context.Context) error {
	var errs []error
	for _, c := range p.Checks() {
		if _, err := c.Run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (p Preflight) checkVersion(ctx context.Context) (string, error) {
	v, err := binaryVersion(ctx, p.Binary)
	if err != nil {
		return "", err
	}
	if v.Major < oldestMajor || v.Major == oldestMajor && v.Minor < oldestMinor {
		return "", fmt.Errorf("%s is version %s, at least %d.%d is needed (Debian 12 has it: apt-get install qemu-system-x86)",
			p.Binary, v, oldestMajor, oldestMinor)
	}
	return v.String(), nil
}

func (p Preflight) checkStream(ctx context.Context) (string, error) {
	out, err := runTool(ctx, p.Binary, "-M", "none", "-netdev", "help")
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(out, "\n") {
		if strings.TrimSpace(line) == "stream" {
			return "-netdev stream", nil
		}
	}
	return "", fmt.Errorf("%s was built without \"-netdev stream\" (use the distribution's full QEMU: apt-get install qemu-system-x86)", p.Binary)
}

func (p Preflight) checkImageTool(ctx context.Context) (string, error) {
	out, err := runTool(ctx, p.ImageTool, "--version")
	if err != nil {
		return "", fmt.Errorf("%w (install it: apt-get install qemu-utils)", err)
	}
	first, _, _ := strings.Cut(out, "\n")
	return first, nil
}

func (p Preflight) checkMemory(context.Context) (string, error) {
	free, err := availableMiB("/proc/meminfo", "/sys/fs/cgroup")
	if err != nil {
		return "", err
	}
	need := p.Machines * (p.MemoryMiB + overheadMiB)
	if free < need {
		return "", fmt.Errorf("%d machines need %d MiB of memory, %d MiB are available (end other programs, or give the machines less memory)",
			p.Machines, need, free)
	}
	return fmt.Sprintf("%d MiB available, %d MiB needed", free, need), nil
}

func (p Preflight) checkDisk(context.Context) (string, error) {
	// The folder may yet have to be made.
	dir := p.StateDir
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	free := int(fs.Bavail * uint64(fs.Bsize) >> 20)
	if free < p.DiskMiB {
		return "", fmt.Errorf("%s has %d MiB of room, %d MiB are needed (make room, or put the state directory elsewhere)",
			dir, free, p.DiskMiB)
	}
	return fmt.Sprintf("%d MiB of room in %s, %d MiB needed", free, dir, p.DiskMiB), nil
}

// versionLine is the first line of "qemu-system-x86_64 --version".
const versionLine = `^QEMU emulator version (\d+)\.(\d+)\.(\d+)(?: \((.*)\))?`

func binaryVersion(ctx context.Context, binary string) (qmp.Version, error) {
	out, err := runTool(ctx, binary, "--version")
	if err != nil {
		return qmp.Version{}, fmt.Errorf("%w (install QEMU: apt-get install qemu-system-x86)", err)
	}
	match := regexp.MustCompile(versionLine).FindStringSubmatch(out)
	if match == nil {
		first, _, _ := strings.Cut(out, "\n")
		return qmp.Version{}, fmt.Errorf("%s --version says %q, not a QEMU's version (install QEMU: apt-get install qemu-system-x86)", binary, first)
	}
	var v qmp.Version
	for i, to := range []*int{&v.Major, &v.Minor, &v.Micro} {
		if *to, err = strconv.Atoi(match[i+1]); err != nil {
			return qmp.Version{}, fmt.Errorf("%s --version: %w", binary, err)
		}
	}
	v.Package = match[4]
	return v, nil
}

func runTool(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, imageToolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	return string(out), nil
}

// availableMiB is the memory new programs can have, in MiB: the kernel's
// MemAvailable (proc(5)), or what is left of the control group's own limit,
// which in a container is the one that kills.
func availableMiB(meminfo, cgroup string) (int, error) {
	f, err := os.Open(meminfo)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	available := -1
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(rest, "kB")))
			if err != nil {
				return 0, fmt.Errorf("%s: %w", meminfo, err)
			}
			available = kib >> 10
		}
	}
	if available < 0 {
		return 0, fmt.Errorf("%s has no line MemAvailable", meminfo)
	}
	limit, limitErr := readNumber(filepath.Join(cgroup, "memory.max")) // "max" is no number
	used, usedErr := readNumber(filepath.Join(cgroup, "memory.current"))
	if limitErr == nil && usedErr == nil {
		available = min(available, max(0, int((limit-used)>>20)))
	}
	return available, nil
}

func readNumber(file string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}
