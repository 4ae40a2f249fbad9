// Package ci tests what users copy from fixtures/ci into their own systems.
package ci
