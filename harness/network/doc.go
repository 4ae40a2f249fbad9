// Package network is the LAN between the machines under test. It lives inside
// this process: machines stand on the user's own addresses, while no packet of
// theirs ever meets the network the host is on.
//
// # Cables
//
// A machine's network card is QEMU's end of a unix socket,
//
//	-netdev stream,id=lan0,server=off,addr.type=unix,addr.path=PATH
//	-device virtio-net-pci,netdev=lan0,mac=52:54:00:0f:00:07
//
// and PATH is what [LAN.Listen] listens on: call it before QEMU starts. Each
// frame comes as its length (4 bytes, big-endian) and its bytes, without a
// virtio header: so guests send no frame above the MTU and fill in all
// checksums. A machine that is powered off and on again simply connects again.
//
// A cable never waits. A machine that does not read (paused, frozen, dead) has
// a bounded queue; beyond it its frames are lost, as on a real switch, and no
// other machine notices.
//
// # Two networks
//
// [LAN] is what is tested: switch, DHCP, DNS, a gateway, faults, capture.
// [Management] is one point-to-point cable for one machine, on which only the
// harness dials. It has no faults, and no way to anywhere else.
//
// # Gateway and internet
//
// The gateway is a user-mode TCP/IP stack (gVisor's) with no forwarder: what a
// guest sends there ends there. It answers DHCP, DNS and ping, and is where
// [LAN.DialContext] dials from. An address of the internet exists once someone
// serves it, with [LAN.ListenTCP] on, say, 203.0.113.10:443. All other
// addresses are answered as by a router whose uplink is gone: ICMP network
// unreachable. DNS knows the machines and the records of [Config], and says
// NXDOMAIN for the rest; it has no upstream.
//
// # Faults
//
// A [Fault] is applied to frames inside the switch. Its scope is a [Match]: a
// conversation between two parties, one service or all, one way or both. The
// faults are [LAN.LinkDown], [LAN.Drop], [LAN.Refuse], [LAN.Reject],
// [LAN.Delay], [LAN.Rate], [LAN.Loss], [LAN.Duplicate], [LAN.Blackhole],
// [LAN.Freeze], [LAN.DNSDown], [LAN.After]. They compose, and are undone in any
// order. Where several concern a frame, the strongest wins: a cut link, a
// drop, a freeze, a refusal, and only then delays, which add up. Every fault
// counts the frames it touched ([Counted]); flows ([LAN.Flows], [LAN.Traffic])
// count what crossed.
//
// # Capture
//
// With [Config.Capture] set, every frame a machine or the gateway sends is
// written once, as pcapng with one interface a cable. A frame that a fault
// stopped carries a packet comment saying so; in tshark: pkt_comment.
//
// # Snapshots
//
// Who is on which cable is configuration, and DHCP answers from it alone, so
// nothing has to be learnt again when machines jump back to a snapshot. What
// must not survive the jump is what was in flight: a segment from the
// discarded future fits the restored connection's window, and would be
// believed. [LAN.Cut] keeps the LAN empty while the machines are restored, and
// ends the gateway's own connections.
//
// # Why not gvisor-tap-vsock's own switch
//
// Its link endpoint is used here. Its switch is not: it writes to all cables
// under one lock, and waits for a reader that does not read, so one paused
// machine stops the LAN; its services dial the host's network on behalf of
// guests; and it has no place for faults.
package network
