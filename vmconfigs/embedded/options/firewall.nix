# networking.firewall: what is let in. The rules themselves are in firewall-iptables.nix and
# firewall-nftables.nix.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.networking.firewall;
  nftables = config.networking.nftables.enable;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  flag = opt types.bool;

  ports =
    description:
    opt (types.listOf types.port) [ ] description
    // {
      apply = list: lib.unique (lib.sort lib.lessThan list);
    };
  ranges = opt (types.listOf (types.attrsOf types.port)) [ ];

  # The same for all interfaces and for one.
  allowed = {
    allowedTCPPorts = ports "TCP ports that are open.";
    allowedTCPPortRanges = ranges "Ranges of TCP ports that are open: `{ from; to; }`.";
    allowedUDPPorts = ports "UDP ports that are open.";
    allowedUDPPortRanges = ranges "Ranges of UDP ports that are open.";
  };
  perInterface = types.attrsOf (types.submodule { options = allowed; });
in
{
  options.networking.firewall = allowed // {
    enable = flag true "Whether only what is allowed comes in.";
    backend = opt (types.enum [
      "iptables"
      "nftables"
      "firewalld"
    ]) (if nftables then "nftables" else "iptables") "What the rules are written for.";
    package = opt types.package (
      if nftables then pkgs.nftables else pkgs.iptables
    ) "Programs that set the rules.";
    logRefusedConnections = flag false "Whether refused TCP connections are logged.";
    logRefusedPackets = flag false "Whether all refused packets are logged.";
    logRefusedUnicastsOnly = flag true "Whether refused broadcasts are left out of that.";
    rejectPackets = flag false "Whether refused packets are answered, not dropped in silence.";
    trustedInterfaces = opt (types.listOf types.str) [ ] "Interfaces on which everything is let in.";
    allowPing = flag true "Whether pings (IPv4) are answered.";
    pingLimit =
      opt (types.nullOr (types.separatedString " ")) null
        "Limit of their rate: arguments of iptables, or a rate of nftables.";
    checkReversePath = opt (types.either types.bool (
      types.enum [
        "strict"
        "loose"
      ]
    )) true "Whether packets must come in where their answer goes out; `loose`: anywhere.";
    logReversePathDrops = flag false "Whether packets that fail that test are logged.";
    filterForward = flag false "Whether forwarded packets are filtered too (nftables).";
    connectionTrackingModules = opt (types.listOf types.str) [ ] "Helpers of connection tracking to load.";
    autoLoadConntrackHelpers = flag false "Whether helpers are loaded by themselves (kernels before 6).";
    extraPackages = opt (types.listOf types.package) [ ] "Packages for {option}`extraCommands`.";
    interfaces = opt perInterface { } "What is open on one interface only.";
    allInterfaces = mkOption {
      internal = true;
      visible = false;
      type = perInterface;
      default = {
        default = lib.mapAttrs (name: _: cfg.${name}) allowed;
      }
      // cfg.interfaces;
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.filterForward -> nftables;
        message = "filterForward only works with the nftables based firewall";
      }
      {
        # Debian's kernel is newer
        assertion = !cfg.autoLoadConntrackHelpers;
        message = "conntrack helper autoloading has been removed from kernel 6.0 and newer";
      }
      {
        assertion = cfg.backend != "firewalld";
        message = "networking.firewall.backend = \"firewalld\" is not there in the embedded guest: use \"iptables\" or \"nftables\"";
      }
    ];

    networking.firewall.trustedInterfaces = [ "lo" ];

    environment.systemPackages = [ cfg.package ] ++ cfg.extraPackages;

    boot.kernelModules =
      lib.optional cfg.autoLoadConntrackHelpers "nf_conntrack"
      ++ map (name: "nf_conntrack_${name}") cfg.connectionTrackingModules;
    boot.extraModprobeConfig = lib.optionalString cfg.autoLoadConntrackHelpers ''
      options nf_conntrack nf_conntrack_helper=1
    '';
  };
}
