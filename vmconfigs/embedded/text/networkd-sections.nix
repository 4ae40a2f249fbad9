# The sections of systemd-networkd's files in NixOS's order: `option Section`, with a `*` where a file may have
# several of them: systemd.netdev(5), systemd.network(5).
let
  parse =
    text:
    map (
      line:
      let
        words = builtins.match "([A-Za-z0-9]+)([*]?) +([A-Za-z0-9-]+)" line;
      in
      {
        option = builtins.elemAt words 0;
        many = builtins.elemAt words 1 == "*";
        section = builtins.elemAt words 2;
      }
    ) (builtins.filter (line: builtins.isString line && line != "") (builtins.split "\n *" text));
in
{
  netdev = parse ''
    bridgeConfig Bridge
    vlanConfig VLAN
    macvlanConfig MACVLAN
    macvtapConfig MACVTAP
    ipvlanConfig IPVLAN
    ipvtapConfig IPVTAP
    vxlanConfig VXLAN
    geneveConfig GENEVE
    hsrConfig HSR
    bareUDPConfig BareUDP
    l2tpConfig L2TP
    l2tpSessions* L2TPSession
    macsecConfig MACsec
    macsecReceiveChannels* MACsecReceiveChannel
    macsecTransmitAssociations* MACsecTransmitAssociation
    macsecReceiveAssociations* MACsecReceiveAssociation
    tunnelConfig Tunnel
    fooOverUDPConfig FooOverUDP
    peerConfig Peer
    vxcanConfig VXCAN
    tunConfig Tun
    tapConfig Tap
    wireguardConfig WireGuard
    wireguardPeers* WireGuardPeer
    bondConfig Bond
    xfrmConfig Xfrm
    vrfConfig VRF
    batmanAdvancedConfig BatmanAdvanced
    ipoibConfig IPoIB
    wlanConfig WLAN
  '';

  # Keys of [Network] that have an option of their own.
  lists = parse ''
    address Address
    gateway Gateway
    dns DNS
    ntp NTP
    bridge Bridge
    bond Bond
    vrf VRF
    macvlan MACVLAN
    ipvlan IPVLAN
    macvtap MACVTAP
    tunnel Tunnel
    vlan VLAN
    vxlan VXLAN
    xfrm Xfrm
  '';

  # What comes after [Network]; [Link] and [SR-IOV] come before.
  network = parse ''
    addresses* Address
    neighbors* Neighbor
    ipv6AddressLabels* IPv6AddressLabel
    routingPolicyRules* RoutingPolicyRule
    nextHops* NextHop
    routes* Route
    dhcpV4Config DHCPv4
    dhcpV6Config DHCPv6
    dhcpPrefixDelegationConfig DHCPPrefixDelegation
    ipv6AcceptRAConfig IPv6AcceptRA
    dhcpServerConfig DHCPServer
    dhcpServerStaticLeases* DHCPServerStaticLease
    ipv6SendRAConfig IPv6SendRA
    ipv6Prefixes* IPv6Prefix
    ipv6RoutePrefixes* IPv6RoutePrefix
    ipv6PREF64Prefixes* IPv6PREF64Prefix
    bridgeConfig Bridge
    bridgeFDBs* BridgeFDB
    bridgeMDBs* BridgeMDB
    lldpConfig LLDP
    canConfig CAN
    ipoIBConfig IPoIB
    qdiscConfig QDisc
    networkEmulatorConfig NetworkEmulator
    tokenBucketFilterConfig TokenBucketFilter
    pieConfig PIE
    flowQueuePIEConfig FlowQueuePIE
    stochasticFairBlueConfig StochasticFairBlue
    stochasticFairnessQueueingConfig StochasticFairnessQueueing
    bfifoConfig BFIFO
    pfifoConfig PFIFO
    pfifoHeadDropConfig PFIFOHeadDrop
    pfifoFastConfig PFIFOFast
    cakeConfig CAKE
    controlledDelayConfig ControlledDelay
    deficitRoundRobinSchedulerConfig DeficitRoundRobinScheduler
    deficitRoundRobinSchedulerClassConfig DeficitRoundRobinSchedulerClass
    enhancedTransmissionSelectionConfig EnhancedTransmissionSelection
    genericRandomEarlyDetectionConfig GenericRandomEarlyDetection
    fairQueueingControlledDelayConfig FairQueueingControlledDelay
    fairQueueingConfig FairQueueing
    trivialLinkEqualizerConfig TrivialLinkEqualizer
    hierarchyTokenBucketConfig HierarchyTokenBucket
    hierarchyTokenBucketClassConfig HierarchyTokenBucketClass
    classfulMultiQueueingConfig ClassfulMultiQueueing
    bandMultiQueueingConfig BandMultiQueueing
    heavyHitterFilterConfig HeavyHitterFilter
    quickFairQueueingConfig QuickFairQueueing
    quickFairQueueingConfigClass QuickFairQueueingClass
    mobileNetworkConfig MobileNetwork
    bridgeVLANs* BridgeVLAN
  '';
}
