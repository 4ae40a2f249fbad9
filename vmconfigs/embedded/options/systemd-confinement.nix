# systemd.services.<name>.confinement: nixos/modules/security/systemd-confinement.nix
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  toplevel = config;
  confined = lib.filterAttrs (_: service: service.confinement.enable) config.systemd.services;

  service = types.submodule (
    { config, ... }:
    {
      options.confinement = {
        enable = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the service sees nothing but the store paths it needs.";
        };
        fullUnit = mkOption {
          type = types.bool;
          default = false;
          description = "Whether all paths of the unit are among them.";
        };
        packages = mkOption {
          type = types.listOf (types.either types.str types.package);
          default = [ ];
          description = "Further packages among them.";
        };
        binSh = mkOption {
          type = types.nullOr types.path;
          default = toplevel.environment.binsh;
          defaultText = lib.literalExpression "config.environment.binsh";
          description = "What is /bin/sh there.";
        };
        mode = mkOption {
          type = types.enum [
            "full-apivfs"
            "chroot-only"
          ];
          default = "full-apivfs";
          description = "Whether there are /dev, /proc, /sys and /tmp of its own.";
        };
      };

      config.serviceConfig =
        let
          api = lib.mkDefault (config.confinement.mode == "full-apivfs");
        in
        lib.mkIf config.confinement.enable {
          ReadOnlyPaths = [ "+/" ];
          RuntimeDirectory = [ "confinement/%n" ];
          RootDirectory = "/run/confinement/%n";
          InaccessiblePaths = [ "-+/run/confinement/%n" ];
          PrivateMounts = lib.mkDefault true;
          MountAPIVFS = api;
          PrivateDevices = api;
          PrivateTmp = api;
          PrivateUsers = api;
          ProtectControlGroups = api;
          ProtectKernelModules = api;
          ProtectKernelTunables = api;
        };
    }
  );

  # NixOS binds the closure of the service's programs. Those of a guest are links into
  # /usr, which has no closures: all of it is bound.
  dropIn = _: service: ''
    [Service]
    ${lib.optionalString (service.confinement.binSh != null) ''
      BindReadOnlyPaths=/usr/bin/sh:/bin/sh
    ''}${lib.optionalString (!service.serviceConfig.PrivateTmp) ''
      InaccessiblePaths=-+/tmp
      InaccessiblePaths=-+/var/tmp
    ''}BindReadOnlyPaths=/nix/store /usr /usr/lib:/lib /usr/lib64:/lib64
  '';
in
{
  options.systemd.services = mkOption { type = types.attrsOf service; };

  config = {
    assertions = lib.mapAttrsToList (name: service: {
      assertion = !service.serviceConfig.RootDirectoryStartOnly or false;
      message =
        "The 'serviceConfig' option 'RootDirectoryStartOnly' for"
        + " service '${name}' is enabled in conjunction with"
        + " 'confinement.enable', but right now systemd"
        + " doesn't support restricting bind-mounts to 'ExecStart'."
        + " Please either define a separate service or find a way to run"
        + " commands other than ExecStart within the chroot.";
    }) confined;

    environment.etc = lib.mapAttrs' (
      name: service:
      lib.nameValuePair "systemd/system/${name}.service.d/confinement.conf" { text = dropIn name service; }
    ) confined;
  };
}
