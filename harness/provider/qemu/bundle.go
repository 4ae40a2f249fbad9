package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bundle is a guest image: what every machine of a lab boots from. It is only
// read; many labs may use one at the same time.
type Bundle struct {
	// Disk is the root disk's file. Machines see it as /dev/vda and write to an
	// overlay of their own.
	Disk string
	// DiskFormat is "qcow2" or "raw".
	DiskFormat string
	// Kernel and Initrd are booted directly. Without Kernel the disk's own boot
	// loader is used, and Initrd and Append must be empty too.
	Kernel, Initrd string
	// Append is the kernel's parameters (kernel-parameters(7)). They have to
	// make ttyS0 a console.
	Append string
	// ID identifies the content: a bundle with the same ID is the same bundle.
	ID string
}

// DiskFormats are the formats a bundle's disk may have.
var diskFormats = []string{"qcow2", "raw"}

// Check returns an error that names everything unusable in the bundle.
func (b Bundle) Check() error {
	var errs []error
	if b.ID == "" {
		errs = append(errs, errors.New("no ID"))
	}
	if !slices.Contains(diskFormats, b.DiskFormat) {
		errs = append(errs, fmt.Errorf("disk format %q is none of %s", b.DiskFormat, strings.Join(diskFormats, ", ")))
	}
	if b.Kernel == "" && (b.Initrd != "" || b.Append != "") {
		errs = append(errs, errors.New("an initrd or kernel parameters, but no kernel"))
	}
	if b.Disk == "" {
		errs = append(errs, errors.New("no disk"))
	}
	for _, file := range []struct{ what, path string }{{"disk", b.Disk}, {"kernel", b.Kernel}, {"initrd", b.Initrd}} {
		if file.path == "" {
			continue
		}
		if err := readable(file.path); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file.what, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("guest image %s cannot be used (build it again): %w", b.ID, err)
	}
	return nil
}

// readable reports why a file is no regular, non-empty file one may read.
func readable(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s: not an absolute path", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return fmt.Errorf("%s: empty, or not a regular file", path)
	}
	return nil
}
