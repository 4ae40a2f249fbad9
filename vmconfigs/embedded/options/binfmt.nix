# boot.binfmt: programs of other architectures, by emulators: nixos/modules/system/boot/binfmt.nix. A guest has no
# emulators; the Nix daemon is told of the systems as on NixOS.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.boot.binfmt;

  bool = default: description: mkOption {
    type = types.bool;
    inherit default description;
  };

  # Systems with an emulator of their own. The rest is QEMU's.
  emulated = [
    "aarch64-linux"
    "aarch64_be-linux"
    "alpha-linux"
    "armv6l-linux"
    "armv7l-linux"
    "i386-linux"
    "i486-linux"
    "i586-linux"
    "i686-linux"
    "loongarch64-linux"
    "mips-linux"
    "mips64-linux"
    "mips64-linuxabin32"
    "mips64el-linux"
    "mips64el-linuxabin32"
    "mipsel-linux"
    "powerpc-linux"
    "powerpc64-linux"
    "powerpc64le-linux"
    "riscv32-linux"
    "riscv64-linux"
    "s390x-linux"
    "sparc-linux"
    "sparc64-linux"
    "wasm32-wasi"
    "wasm64-wasi"
    "x86_64-linux"
  ];

  # QEMU's name of a processor.
  qemuArch =
    system:
    let
      cpu = lib.head (lib.splitString "-" system);
    in
    {
      armv6l = "arm";
      armv7l = "arm";
      i486 = "i386";
      i586 = "i386";
      i686 = "i386";
      powerpc = "ppc";
      powerpc64 = "ppc64";
      powerpc64le = "ppc64le";
    }
    .${cpu} or cpu;
in
{
  options.boot.binfmt = {
    emulatedSystems = mkOption {
      type = types.listOf (types.enum emulated);
      default = [ ];
      description = "Systems whose programs run here.";
    };
    addEmulatedSystemsToNixSandbox = bool true "Whether Nix builds for these systems.";
    preferStaticEmulators = bool false "Whether emulators are static; then builds need none in their sandbox.";
    registrations = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      description = "Accepted; a guest's kernel is told of no interpreters.";
    };
  };

  config.nix.settings = lib.mkIf (cfg.addEmulatedSystemsToNixSandbox && cfg.emulatedSystems != [ ]) {
    extra-platforms = cfg.emulatedSystems ++ [ "i686-linux" ];
    extra-sandbox-paths = lib.optionals (!cfg.preferStaticEmulators) (
      [ "/run/binfmt" ]
      ++ map (
        system: pkgs.embedded.store.path "qemu-${qemuArch system}-binfmt-P" "binfmt"
      ) cfg.emulatedSystems
    );
  };
}
