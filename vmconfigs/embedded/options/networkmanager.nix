# networking.networkmanager: what a laptop's configuration says of it is taken and its
# groups are made, but in the guest there is one cable, and systemd-networkd has it.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.networking.networkmanager;
  wireless = config.networking.wireless;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  names = opt (types.listOf types.str) [ ];

  atom = types.nullOr (
    types.oneOf [
      types.bool
      types.int
      types.str
    ]
  );

  script.options = {
    source = mkOption {
      type = types.path;
      description = "The script.";
    };
    type = opt (types.enum [
      "basic"
      "pre-up"
      "pre-down"
    ]) "basic" "On which events.";
  };

  path = name: [
    "networking"
    "networkmanager"
    name
  ];

  # Interfaces NetworkManager leaves alone may have wpa_supplicant to themselves.
  delegated = wireless.networks != { } && cfg.unmanaged != [ ];
in
{
  imports = [
    (lib.mkRenamedOptionModule (path "packages") (path "plugins"))
    (lib.mkRenamedOptionModule (path "useDnsmasq") (path "dns"))
    (lib.mkRemovedOptionModule (path "extraConfig") ''
      This option was removed in favour of `networking.networkmanager.settings`,
      which accepts structured nix-code equivalent to the ini
      and allows for overriding settings.
    '')
    (lib.mkRemovedOptionModule (path "enableStrongSwan")
      "Pass `pkgs.networkmanager-strongswan` into `networking.networkmanager.plugins` instead."
    )
    (lib.mkRemovedOptionModule (path "enableDefaultPlugins")
      "Configure the required plugins explicitly in `networking.networkmanager.plugins`."
    )
  ];

  options.networking = {
    networkmanager = {
      enable = opt types.bool false "Whether NetworkManager sets interfaces up.";
      package = lib.mkPackageOption pkgs "networkmanager" { };
      connectionConfig = opt (types.attrsOf atom) { } "The section [connection].";
      settings = opt (types.attrsOf (types.attrsOf atom)) { } "Settings of {manpage}`NetworkManager.conf(5)`.";
      unmanaged = names "Interfaces it leaves alone.";
      plugins = opt (types.listOf types.package) [ ] "Plugins for VPNs.";
      dhcp = opt (types.enum [
        "dhcpcd"
        "internal"
      ]) "internal" "Which DHCP client it uses.";
      logLevel = opt (types.enum [
        "OFF"
        "ERR"
        "WARN"
        "INFO"
        "DEBUG"
        "TRACE"
      ]) "WARN" "How much is logged.";
      appendNameservers = names "Name servers after those of the connection.";
      insertNameservers = names "Name servers before those of the connection.";
      ethernet.macAddress = opt types.str "preserve" "Hardware address on cables: one, or a way to choose it.";
      wifi.macAddress = opt types.str "preserve" "Hardware address on radio: one, or a way to choose it.";
      wifi.backend = opt (types.enum [
        "wpa_supplicant"
        "iwd"
      ]) "wpa_supplicant" "What speaks to the radio.";
      wifi.powersave = opt (types.nullOr types.bool) null "Whether the radio saves power.";
      wifi.scanRandMacAddress = opt types.bool true "Whether scans use random hardware addresses.";
      dns = opt (types.enum [
        "default"
        "dnsmasq"
        "systemd-resolved"
        "none"
      ]) "default" "What it does with name servers.";
      dispatcherScripts = opt (types.listOf (types.submodule script)) [ ] "Scripts run on its events.";
      ensureProfiles.profiles = opt (types.attrsOf (
        types.attrsOf (types.attrsOf atom)
      )) { } "Connections that are always there.";
      ensureProfiles.environmentFiles = opt (types.listOf types.path) [ ] "Files of their secrets.";
    };
    modemmanager.enable = opt types.bool false "Whether to enable ModemManager.";
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = wireless.networks != { } -> cfg.unmanaged != [ ];
        message = ''
          You can not use networking.networkmanager with networking.wireless.networks.
          Except if you mark some interfaces as <literal>unmanaged</literal> by NetworkManager.
        '';
      }
    ];

    # NixOS's fixed number
    users.groups.networkmanager.gid = 57;

    networking.modemmanager.enable = lib.mkDefault true;
    networking.useDHCP = lib.mkIf (!delegated) false;
    networking.wireless.enable = lib.mkIf (!delegated && cfg.wifi.backend != "iwd") true;
    networking.wireless.iwd.enable = lib.mkIf (cfg.wifi.backend == "iwd") true;
  };
}
