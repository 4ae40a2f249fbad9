// Package guest keeps images of guest machines: built once from a recipe, kept
// under the hash of what they are made of, and checked each time they are used.
//
// An image is a folder, the bundle: disk, kernel, initrd, the key of the
// harness's way in, and a copy of Nix for a host that has none. Its manifest is
// written last and holds the digest of every file, so a build that was cut off
// and a file that was damaged are both seen.
package guest
