# fstab(5) from fileSystems and swapDevices.
{ lib }:

let
  inherit (lib)
    any
    concatStringsSep
    elem
    hasPrefix
    hasSuffix
    optional
    ;

  # Kinds with no fsck, or none that is of use at boot.
  unchecked = [
    "none"
    "auto"
    "overlay"
    "iso9660"
    "bindfs"
    "udf"
    "btrfs"
    "zfs"
    "tmpfs"
    "bcachefs"
    "nfs"
    "nfs4"
    "nilfs2"
    "vboxsf"
    "squashfs"
    "glusterfs"
    "apfs"
    "9p"
    "cifs"
    "prl_fs"
    "vmhgfs"
  ];
  journals = [
    "ext3"
    "ext4"
    "xfs"
    "jfs"
    "f2fs"
  ];

  # "/a/" is no prefix of "/ab/", "/a" would be one of "/ab".
  folder = path: if hasSuffix "/" path then path else "${path}/";

  words = lib.splitString ",";
in
rec {
  # Fields are separated by blanks, so these are written in octal.
  escape = builtins.replaceStrings [ " " "\t" ] [ "\\040" "\\011" ];

  # Whether a has to be mounted before b: b lies in it, comes from it, or depends on it.
  before =
    a: b:
    any (hasPrefix (folder a.mountPoint)) (
      map folder (
        [
          (toString b.device)
          b.mountPoint
        ]
        ++ b.depends
      )
    );

  # One record a line; options are those after all joining and splitting.
  mounts =
    {
      fileSystems,
      # boot.initrd.checkJournalingFS
      checkJournals ? true,
    }:
    let
      skip =
        fs:
        fs.noCheck
        || fs.device == "none"
        || elem fs.fsType (unchecked ++ lib.optionals (!checkJournals) journals)
        || elem "bind" fs.options;
    in
    map (fs: {
      device =
        if fs.device == null then
          throw "No device specified for mount point ‘${fs.mountPoint}’."
        else
          escape fs.device;
      mountPoint = escape fs.mountPoint;
      inherit (fs) fsType;
      options = words (escape (concatStringsSep "," fs.options));
      freq = 0;
      pass =
        if skip fs then
          0
        else if fs.mountPoint == "/" then
          1
        else
          2;
    }) fileSystems;

  swaps =
    swapDevices:
    map (sw: {
      device = sw.realDevice;
      mountPoint = "none";
      fsType = "swap";
      options = words (
        concatStringsSep "," (
          sw.options
          ++ optional (sw.priority != null) "pri=${toString sw.priority}"
          ++ optional (sw.discardPolicy != null) (
            "discard" + lib.optionalString (sw.discardPolicy != "both") "=${sw.discardPolicy}"
          )
        )
      );
    }) swapDevices;

  text =
    {
      fileSystems,
      swapDevices,
      checkJournals ? true,
    }:
    let
      line =
        e:
        concatStringsSep " " (
          [
            e.device
            e.mountPoint
            e.fsType
            (concatStringsSep "," e.options)
          ]
          ++ lib.optionals (e ? pass) [
            (toString e.freq)
            (toString e.pass)
          ]
        )
        + "\n";
    in
    ''
      # This is a generated file.  Do not edit!
      #
      # To make changes, edit the fileSystems and swapDevices NixOS options
      # in your /etc/nixos/configuration.nix file.
      #
      # <file system> <mount point>   <type>  <options>       <dump>  <pass>

      # Filesystems.
      ${lib.concatMapStrings line (mounts {
        inherit fileSystems checkJournals;
      })}

      ${lib.optionalString (swapDevices != [ ]) "# Swap devices."}
      ${lib.concatMapStrings line (swaps swapDevices)}
    '';
}
