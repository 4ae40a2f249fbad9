# Nix, NFS, file systems, firewall, names, addresses and ssh.
{
  config,
  options,
  lib,
}:

let
  inherit (config) networking nix;
  inherit (options._module.args.value.pkgs.embedded) store;

  nixConf = import ../text/nix-conf.nix { inherit lib; } {
    inherit (nix) settings extraOptions;
  };
  sshd = import ../text/sshd-config.nix { inherit lib; };
  fstab = import ../text/fstab.nix { inherit lib; };

  settingsOf = import ../text/settings.nix { inherit lib; };

  # Text of a file below /etc, null where there is none.
  file =
    path:
    let
      e = config.environment.etc.${path} or { enable = false; };
    in
    if !e.enable then
      null
    else
      store.textAt "${e.source}";
  optionalFile = name: path: lib.optionalAttrs (file path != null) { ${name} = file path; };

  notNull = lib.filterAttrs (_: v: v != null);
  nonEmpty = lib.filterAttrs (_: v: v != [ ]);

  portFields = [
    "allowedTCPPorts"
    "allowedUDPPorts"
    "allowedTCPPortRanges"
    "allowedUDPPortRanges"
  ];

  addressesOf = map (a: { inherit (a) address prefixLength; });
  routesOf = map (
    r:
    notNull {
      inherit (r)
        address
        prefixLength
        type
        via
        ;
    }
    // lib.optionalAttrs (r.options != { }) { inherit (r) options; }
  );

  here = toString ../. + "/";
  isOurs = def: lib.hasPrefix here (toString def.file);

  # Members of an option that a user's module had a say in.
  namesOfUser =
    option:
    lib.unique (
      lib.concatMap (def: lib.optionals (!isOurs def) (namesIn def.value)) option.definitionsWithLocations
    );
  # through mkIf, mkForce, mkMerge
  namesIn =
    v:
    if !lib.isAttrs v then
      [ ]
    else if v._type or null == "merge" then
      lib.concatMap namesIn v.contents
    else if v ? _type then
      lib.optionals (v.condition or true) (namesIn v.content)
    else
      lib.attrNames v;

  # NixOS's own settings of each interface follow from `network`.
  sysctlOfInterfaces = lib.concatMap (
    i:
    let
      name = lib.replaceStrings [ "." ] [ "/" ] i.name;
    in
    [
      "net.ipv4.conf.${name}.proxy_arp"
      "net.ipv6.conf.${name}.use_tempaddr"
    ]
  ) (lib.attrValues networking.interfaces);

  cfg = config.services.openssh;
in
{
  nixConf = if nix.enable then settingsOf nixConf else { };
  nixExtraOptions = nix.extraOptions;
  inherit (nix) nixPath;

  fstab =
    fstab.mounts {
      fileSystems = config.system.build.fileSystems;
      checkJournals = config.boot.initrd.checkJournalingFS or true;
    }
    ++ fstab.swaps config.swapDevices;
  supportedFilesystems = config.boot.supportedFilesystems;

  firewall = {
    inherit (networking.firewall)
      enable
      trustedInterfaces
      allowPing
      pingLimit
      checkReversePath
      logRefusedConnections
      logRefusedPackets
      rejectPackets
      extraCommands
      extraStopCommands
      extraInputRules
      ;
    interfaces = lib.mapAttrs (_: i: nonEmpty (lib.getAttrs portFields i)) networking.firewall.interfaces;
  }
  // lib.getAttrs portFields networking.firewall;

  hosts = file "hosts";
  inherit (networking) hostName domain;

  network = {
    inherit (networking)
      useDHCP
      useNetworkd
      enableIPv6
      nameservers
      search
      ;
    defaultGateway =
      if networking.defaultGateway == null then
        null
      else
        notNull { inherit (networking.defaultGateway) address interface metric; };
    networkd = config.systemd.network.enable;
    interfaces = lib.mapAttrs (
      _: i:
      nonEmpty {
        ipv4 = addressesOf i.ipv4.addresses;
        ipv6 = addressesOf i.ipv6.addresses;
        routes = routesOf (i.ipv4.routes ++ i.ipv6.routes);
      }
      // notNull { inherit (i) mtu macAddress useDHCP; }
    ) networking.interfaces;
  };

  sshClient = {
    config = file "ssh/ssh_config";
    knownHosts = file "ssh/ssh_known_hosts";
    inherit (config.programs.ssh) startAgent;
  };

  sysctl = lib.mapAttrs (_: v: if v == false then "0" else if v == null then null else toString v) (
    removeAttrs config.boot.kernel.sysctl (
      lib.subtractLists (namesOfUser options.boot.kernel.sysctl) sysctlOfInterfaces
    )
  );
}
// lib.optionalAttrs cfg.enable {
  sshd = {
    inherit (cfg) enable ports;
    text = sshd.unexpanded cfg;
  }
  # where not the default
  // lib.optionalAttrs (!cfg.openFirewall) { inherit (cfg) openFirewall; }
  // lib.optionalAttrs cfg.startWhenNeeded { inherit (cfg) startWhenNeeded; }
  // lib.filterAttrs (_: v: v != { }) {
    settings = lib.getAttrs (namesOfUser options.services.openssh.settings) cfg.settings;
  };
}
// optionalFile "machines" "nix/machines"
// optionalFile "exports" "exports"
// optionalFile "nfsConf" "nfs.conf"
