# The guest's kernel is Debian's own; modules only ask for its version and
# for what it can do.
{ lib, derivation }:
derivation rec {
  name = "${pname}-${version}";
  pname = "linux";
  version = "6.12.94";
  files = { };
  passthru = {
    modDirVersion = "6.12.94";
    baseVersion = "6.12";
    isXen = false;
    isZen = false;
    isHardened = false;
    isLibre = false;
    kernelOlder = lib.versionOlder "6.12.94";
    kernelAtLeast = lib.versionAtLeast "6.12.94";
    features = { };
    configEnv = { };
    config = {
      isSet = _: true;
      isYes = _: true;
      isNo = _: false;
      isModule = _: true;
      isEnabled = _: true;
      isDisabled = _: false;
    };
    target = "bzImage";
  };
}
