# nix.firewall: what the Nix daemon and its builds may reach, by nft(8).
{ config, lib, ... }:

let
  inherit (lib) mkOption optionalString types;

  cfg = config.nix.firewall;

  ports =
    protocol:
    mkOption {
      type = types.listOf (
        types.oneOf [
          types.singleLineStr
          types.port
        ]
      );
      default = [ ];
      description = "${protocol} ports, or ranges, that may be reached; all, if empty.";
    };
  only =
    protocol: list:
    optionalString (list != [ ]) ''
      ${protocol} dport { ${lib.concatMapStringsSep ", " toString list} } accept
      ip protocol ${protocol} counter drop
      ip6 nexthdr ${protocol} counter drop
    '';
  unless = allowed: rule: optionalString (!allowed) "${rule} counter drop";
in
{
  options.nix.firewall = {
    enable = lib.mkEnableOption "firewalling for outgoing traffic of the nix daemon";
    allowLoopback = mkOption {
      default = false;
      description = "Whether this machine may be reached.";
    };
    allowPrivateNetworks = mkOption {
      default = true;
      description = "Whether private addresses may be reached.";
    };
    allowNonTCPUDP = mkOption {
      type = types.bool;
      default = false;
      description = "Whether other protocols than TCP and UDP may be used.";
    };
    allowedTCPPorts = ports "TCP";
    allowedUDPPorts = ports "UDP";
    extraNftablesRules = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      description = "Rules before all others.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = config.networking.nftables.enable;
        message = ''
          The nix-daemon firewall requires an nftables-based firewall.
          networking.nftables.enable must be set to true.
        '';
      }
      {
        assertion = !config.networking.nftables.flushRuleset;
        message = ''
          The nix-daemon firewall writes extra tables to nftables.
          networking.nftables.flushRuleset must be set to false.
        '';
      }
    ];

    # systemd puts the daemon's control group into the set
    systemd.services.nix-daemon = {
      after = [ "nftables.service" ];
      serviceConfig.NFTSet = "cgroup:inet:nix_daemon_firewall:nix_daemon";
    };

    networking.nftables.ruleset = ''
      table inet nix_daemon_firewall {
        set nix_daemon {
          type cgroupsv2
        }
        chain output {
          type filter hook output priority 0;
          socket cgroupv2 level 2 @nix_daemon goto nix_daemon_traffic
          accept
        }
        chain nix_daemon_traffic {
          # Extra rules
          ${lib.concatStringsSep "\n" cfg.extraNftablesRules}

          # Loopback
          ${unless cfg.allowLoopback "ip daddr 127.0.0.0/8"}
          ${unless cfg.allowLoopback "ip6 daddr ::1"}

          # Local networks
          ${unless cfg.allowPrivateNetworks "ip daddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16 }"}
          ${unless cfg.allowPrivateNetworks "ip6 daddr { fd00::/8, fe80::/10 }"}

          # TCP
          ${only "tcp" cfg.allowedTCPPorts}

          # UDP
          ${only "udp" cfg.allowedUDPPorts}

          # Non-TCP and non-UDP
          ${unless cfg.allowNonTCPUDP "ip protocol != { tcp, udp }"}
          ${unless cfg.allowNonTCPUDP "ip6 nexthdr != { tcp, udp }"}

          accept
        }
      }
    '';
    # the daemon's control group does not exist where the rules are tried
    networking.nftables.preCheckRuleset = ''
      sed -i 's/socket cgroupv2 level 2 @nix_daemon//g' ruleset.conf
    '';
  };
}
