# networking.nftables: tables and rules of nft(8), set by nftables.service.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.networking.nftables;
  etc = config.environment.etc;

  lines =
    description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };

  table =
    { name, ... }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
          description = "Whether it is set.";
        };
        name = mkOption {
          type = types.str;
          description = "Its name.";
        };
        content = mkOption {
          type = types.lines;
          description = "Its sets and chains.";
        };
        family = mkOption {
          type = types.enum [
            "ip"
            "ip6"
            "inet"
            "arp"
            "bridge"
            "netdev"
          ];
          description = "Its family of addresses.";
        };
      };
      config.name = lib.mkDefault name;
    };

  tables = lib.attrValues (lib.filterAttrs (_: t: t.enable) cfg.tables);

  # What has to be taken away before the next rules are set; kept across switches and boots.
  saved = "/var/lib/nftables/deletions.nft";
  deletions = pkgs.writeScript "nftables-deletions" ''
    ${
      if cfg.flushRuleset then
        "flush ruleset"
      else
        lib.concatMapStringsSep "\n" (t: ''
          table ${t.family} ${t.name}
          delete table ${t.family} ${t.name}
        '') tables
    }
    ${cfg.extraDeletions}
  '';
  ensure = pkgs.writeShellScript "nftables-ensure-deletions" ''
    touch ${saved}
  '';
  save = pkgs.writeShellScript "nftables-save-deletions" ''
    cp ${deletions} ${saved}
  '';
  cleanup = pkgs.writeShellScript "nftables-cleanup-deletions" ''
    rm ${saved}
  '';

  ownFile =
    if cfg.rulesetFile == null then
      ""
    else if cfg.flattenRulesetFile then
      builtins.readFile cfg.rulesetFile
    else
      ''
        include "${cfg.rulesetFile}"
      '';

  rules = pkgs.writeTextFile {
    name = "nftables-rules";
    executable = true;
    text = ''
      #! ${pkgs.nftables}/bin/nft -f
      # previous deletions, if any
      include "${saved}"
      # current deletions
      include "${deletions}"
      ${lib.concatMapStringsSep "\n" (t: ''
        table ${t.family} ${t.name} {
          ${t.content}
        }
      '') tables}
      ${cfg.ruleset}
      ${ownFile}
    '';
  };
in
{
  options.networking.nftables = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether nftables is used, by the firewall as well.";
    };
    checkRuleset = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the rules are tried before they are used.";
    };
    checkRulesetRedirects = mkOption {
      type = types.addCheck (types.attrsOf types.path) (
        files: lib.all types.path.check (lib.attrNames files)
      );
      default = {
        "/etc/hosts" = etc.hosts.source;
        "/etc/protocols" = etc.protocols.source or "/etc/protocols";
        "/etc/services" = etc.services.source or "/etc/services";
      };
      description = "Files that this trial sees in place of the builder's.";
    };
    preCheckRuleset = lines "Commands before the trial.";
    flushRuleset = lib.mkEnableOption "flushing the entire ruleset on each reload";
    extraDeletions = lines "More that is taken away before the rules are set anew.";
    ruleset = lines "Rules.";
    rulesetFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "File of rules.";
    };
    flattenRulesetFile = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the file's text is taken, not its path.";
    };
    tables = mkOption {
      type = types.attrsOf (types.submodule table);
      default = { };
      description = "Tables; each is replaced as a whole.";
    };
  };

  config = lib.mkIf cfg.enable {
    boot.blacklistedKernelModules = [ "ip_tables" ];
    environment.systemPackages = [ pkgs.nftables ];
    networking.nftables.flushRuleset = lib.mkDefault (
      lib.versionOlder config.system.stateVersion "23.11" || cfg.rulesetFile != null || cfg.ruleset != ""
    );

    systemd.services.nftables = {
      description = "nftables firewall";
      after = [ "sysinit.target" ];
      before = [
        "network-pre.target"
        "shutdown.target"
      ];
      conflicts = [ "shutdown.target" ];
      wants = [
        "network-pre.target"
        "sysinit.target"
      ];
      wantedBy = [ "multi-user.target" ];
      reloadIfChanged = true;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = [
          ensure
          rules
        ];
        ExecStartPost = save;
        ExecReload = [
          ensure
          rules
          save
        ];
        ExecStop = [
          "${pkgs.nftables}/bin/nft -f ${saved}"
          cleanup
        ];
        StateDirectory = "nftables";
      };
      unitConfig.DefaultDependencies = false;
    };
  };
}
