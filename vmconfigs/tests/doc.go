// Package tests runs the commands of the reference configuration against
// stand-ins of the programs they call. Whether they are right about real
// machines is for the suites to prove; here it is shown that each broken part
// is named, that the exit status says so, and that nothing hangs.
package tests
