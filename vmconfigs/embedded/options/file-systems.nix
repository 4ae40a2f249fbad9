# fileSystems, boot.supportedFilesystems and /etc/fstab (fstab(5), systemd.mount(5)).
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:

let
  inherit (lib)
    any
    elem
    filter
    mkDefault
    mkIf
    mkOption
    types
    ;

  fstab = import ../text/fstab.nix { inherit lib; };
  inherit (fstab) escape;
  inherit (utils) fsNeededForBoot;

  isNonEmpty = s: builtins.match "[ \t\n]*" s == null;
  checked =
    words: check:
    types.addCheck types.str check
    // {
      description = "${types.str.description} (with check: ${words})";
    };
  nonEmptyStr = checked "non-empty" isNonEmpty;
  mountPath = checked "non-empty without trailing slash" (
    s: isNonEmpty s && builtins.match ".+/" s == null
  );

  opt =
    type: default: description:
    mkOption { inherit type default description; };

  # Also for the kernel's own, such as /proc.
  core =
    { name, config, ... }:
    {
      options = {
        enable = lib.mkEnableOption "the filesystem mount" // {
          default = true;
        };
        mountPoint = opt mountPath name "Where it is mounted.";
        stratis.poolUuid = opt (types.uniq (types.nullOr types.str)) null "UUID of its Stratis pool.";
        device = opt (types.nullOr nonEmptyStr) null "What is mounted: a device, `host:/path`, a folder, a word.";
        fsType = mkOption {
          type = nonEmptyStr;
          description = "Kind of file system; `auto` finds out.";
        };
        options = opt (types.nonEmptyListOf nonEmptyStr) [ "defaults" ] "Options of the mount.";
        depends = opt (types.listOf mountPath) [ ] "Paths that have to be mounted before.";
      };
      config.device = mkIf (elem config.fsType [
        "proc"
        "sysfs"
        "tmpfs"
        "ramfs"
        "devtmpfs"
        "devpts"
      ]) (mkDefault config.fsType);
    };

  systemdInitrd = config.boot.initrd.systemd.enable or true;

  user =
    { config, ... }:
    {
      options = {
        label = opt (types.nullOr nonEmptyStr) null "Label of the device, in place of `device`.";
        autoFormat = opt types.bool false "Whether an empty device is formatted.";
        formatOptions = mkOption {
          visible = false;
          type = types.unspecified;
          default = null;
        };
        autoResize = opt types.bool false "Whether it grows to its device's size.";
        noCheck = opt types.bool false "Whether it is left unchecked at boot.";
        neededForBoot = opt types.bool false "Whether the boot waits for it before anything else.";
      };
      config = {
        device = mkIf (config.label != null) (mkDefault "/dev/disk/by-label/${escape config.label}");
        options =
          let
            early = fsNeededForBoot config;
          in
          lib.mkMerge [
            (mkIf config.autoResize [ "x-systemd.growfs" ])
            (mkIf config.autoFormat [ "x-systemd.makefs" ])
            (mkIf early [ "x-initrd.mount" ])
            (mkIf (config.depends != [ ] && (early -> systemdInitrd)) (
              map (p: "x-systemd.requires-mounts-for=${lib.optionalString early "/sysroot"}${p}") config.depends
            ))
          ];
      };
    };

  enabled = lib.filterAttrs (_: fs: fs.enable);

  # Parents before children; in order of names where that is impossible (an assertion tells).
  sorted = lib.toposort fstab.before (lib.attrValues config.fileSystems);
  fileSystems = sorted.result or (lib.attrValues config.fileSystems);

  growing = [
    "ext3"
    "ext4"
    "btrfs"
    "xfs"
  ];
  cannotGrow = filter (fs: fs.autoResize && !elem fs.fsType growing) fileSystems;

  points = sep: lib.concatMapStringsSep sep (fs: fs.mountPoint);
in
{
  options = {
    fileSystems = mkOption {
      type = types.attrsOf (
        types.submodule [
          core
          user
        ]
      );
      default = { };
      apply = enabled;
      description = "What is mounted where.";
    };

    system.fsPackages = mkOption {
      internal = true;
      default = [ ];
      description = "Packages of programs for the file systems in use.";
    };

    boot.supportedFilesystems = mkOption {
      type = types.coercedTo (types.listOf types.str) (names: lib.genAttrs names (_: true)) (
        types.attrsOf types.bool
      );
      default = { };
      description = "Kinds of file systems the machine can mount.";
    };

    boot.specialFileSystems = mkOption {
      type = types.attrsOf (types.submodule core);
      default = { };
      apply = enabled;
      internal = true;
      description = "The kernel's own file systems.";
    };

    boot.devSize = opt types.str "5%" "Size of {file}`/dev`.";
    boot.devShmSize = opt types.str "50%" "Size of {file}`/dev/shm`.";
    boot.runSize = opt types.str "25%" "Size of {file}`/run`.";
  };

  config = {
    assertions = [
      {
        assertion = !(sorted ? cycle);
        message = "The ‘fileSystems’ option can't be topologically sorted: mountpoint dependency path ${points " -> " sorted.cycle} loops to ${points ", " sorted.loops}";
      }
      {
        assertion = cannotGrow == [ ];
        message =
          let
            fs = lib.head cannotGrow;
          in
          ''
            Mountpoint '${fs.mountPoint}': 'autoResize = true' is not supported for 'fsType = "${fs.fsType}"'
            ${lib.optionalString (fs.fsType == "auto") "fsType has to be explicitly set and"}
            only the following support it: ${lib.concatStringsSep ", " growing}.
          '';
      }
      {
        assertion = !any (fs: fs.formatOptions != null) fileSystems;
        message = ''
          'fileSystems.<name>.formatOptions' has been removed, since
          systemd-makefs does not support any way to provide formatting
          options.
        '';
      }
    ]
    ++ map (fs: {
      assertion = fs.label != null -> fs.device == "/dev/disk/by-label/${escape fs.label}";
      message = ''
        The filesystem with mount point ${fs.mountPoint} has its label and device set to inconsistent values:
          label: ${toString fs.label}
          device: ${toString fs.device}
        'filesystems.<name>.label' and 'filesystems.<name>.device' are mutually exclusive. Please set only one.
      '';
    }) fileSystems;

    system.build.fileSystems = fileSystems;

    boot.supportedFilesystems = map (fs: fs.fsType) fileSystems;

    system.fsPackages = [ pkgs.dosfstools ];
    environment.systemPackages = config.system.fsPackages;

    environment.etc.fstab.text = fstab.text {
      inherit fileSystems;
      inherit (config) swapDevices;
      checkJournals = config.boot.initrd.checkJournalingFS or true;
    };

    systemd.targets.fs = {
      description = "All File Systems";
      wants = [
        "local-fs.target"
        "remote-fs.target"
      ];
    };

    # 96 is NixOS's fixed number of the group keys
    systemd.tmpfiles.rules = [
      "d /run/keys 0750 root 96"
      "z /run/keys 0750 root 96"
    ];
  };
}
