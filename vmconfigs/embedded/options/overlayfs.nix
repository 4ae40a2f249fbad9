# fileSystems.<name>.overlay: one folder seen above others: nixos/modules/tasks/filesystems/overlayfs.nix
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  inherit (lib) mkOption optionals types;
  inherit (utils) escapeSystemdPath fsNeededForBoot;

  # What the first stage mounts lies below the root that is to be.
  prefixOf =
    fs: lib.optionalString (fs.overlay.useStage1BaseDirectories && fsNeededForBoot fs) "/sysroot";

  folder = description: mkOption {
    type = types.nullOr types.str;
    default = null;
    inherit description;
  };

  overlay =
    { config, ... }:
    let
      o = config.overlay;
      prefix = prefixOf config;
      writable = o.upperdir != null;
    in
    {
      options.overlay = {
        lowerdir = mkOption {
          type = types.nullOr (types.nonEmptyListOf (types.either types.str types.pathInStore));
          default = null;
          description = "Folders below.";
        };
        upperdir = folder "Folder above, which is written to.";
        workdir = folder "Folder the kernel works in, beside the one above.";
        useStage1BaseDirectories = mkOption {
          type = types.bool;
          default = true;
          description = "Whether the folders lie on the root file system, for what is mounted before it is the root.";
        };
      };
      config = lib.mkIf (o.lowerdir != null) {
        fsType = "overlay";
        device = lib.mkDefault "overlay";
        depends =
          map (path: "${path}") o.lowerdir
          ++ optionals writable [
            o.upperdir
            o.workdir
          ];
        options = [
          "lowerdir=${lib.concatMapStringsSep ":" (path: prefix + path) o.lowerdir}"
        ]
        ++ optionals writable [
          "upperdir=${prefix + o.upperdir}"
          "workdir=${prefix + o.workdir}"
        ];
      };
    };

  overlays = lib.filterAttrs (_: fs: fs.overlay.lowerdir != null) config.fileSystems;
in
{
  options.fileSystems = mkOption {
    type = types.attrsOf (types.submodule [ overlay ]);
  };

  config = {
    assertions = lib.concatLists (
      lib.mapAttrsToList (_: fs: [
        {
          assertion = (fs.overlay.upperdir == null) == (fs.overlay.workdir == null);
          message = "You cannot define a `lowerdir` without a `workdir` and vice versa for mount point: ${fs.mountPoint}";
        }
        {
          assertion = fs.overlay.upperdir == null -> lib.length fs.overlay.lowerdir >= 2;
          message = "A read-only overlay (without an `upperdir`) requires at least 2 `lowerdir`s: ${fs.mountPoint}";
        }
      ]) overlays
    );

    # The folders are made before the mount.
    systemd.services = lib.mapAttrs' (
      _: fs:
      let
        name = escapeSystemdPath fs.mountPoint;
        folders = "${fs.overlay.upperdir} ${fs.overlay.workdir}";
      in
      lib.nameValuePair "rw-${name}" {
        requiredBy = [ "${name}.mount" ];
        before = [ "${name}.mount" ];
        unitConfig = {
          DefaultDependencies = false;
          RequiresMountsFor = folders;
        };
        serviceConfig = {
          Type = "oneshot";
          ExecStart = "${pkgs.coreutils}/bin/mkdir -p -m 0755 ${folders}";
        };
      }
    ) (lib.filterAttrs (_: fs: fs.overlay.upperdir != null && !fsNeededForBoot fs) overlays);
  };
}
