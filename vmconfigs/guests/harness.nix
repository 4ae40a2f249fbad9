# The command offload-e2e, with the guests' programs in .bin/guest of its tree: it
# finds the repository's parts by where it lies.
{ pkgs }:
let
  inherit (pkgs) lib;
in
pkgs.buildGoModule {
  pname = "offload-e2e";
  version = "0";

  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../go.mod
      ../../go.sum
      ../../harness
      ../../suites
      ../../fixtures
      ../../vmconfigs
    ];
  };

  # The hash of what `go mod vendor` writes; a test of harness/nixguest says which
  # it is when go.sum has changed.
  vendorHash = import ./vendor-hash.nix;

  env.CGO_ENABLED = "0";
  # make build, with the same flags.
  buildPhase = ''
    runHook preBuild
    go build -trimpath -ldflags '-s -w' -o .bin/guest/ ./harness/cmd/nix-serve ./harness/cmd/switch-to-configuration
    go build -o .bin/offload-e2e ./harness/cmd/offload-e2e
    runHook postBuild
  '';
  # They boot machines, and use Nix: make test runs them.
  doCheck = false;
  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin $out/share/offload-e2e
    cp -r .bin go.mod harness suites fixtures vmconfigs $out/share/offload-e2e/
    ln -s $out/share/offload-e2e/.bin/offload-e2e $out/bin/offload-e2e
    runHook postInstall
  '';

  meta = {
    description = "Prove that a laptop offloads its Nix builds to a desktop";
    license = lib.licenses.mit;
    mainProgram = "offload-e2e";
    platforms = [ "x86_64-linux" ];
  };
}
