# Shell commands that make ./files what a root file system has besides its store:
# the store's database and the system profile, which is what boots.
{
  pkgs,
  systems,
  toplevel,
}:
''
  mkdir -p files/nix/var/nix/profiles files/etc
  ln -s ${toplevel} files/nix/var/nix/profiles/system-1-link
  ln -s system-1-link files/nix/var/nix/profiles/system
  touch files/etc/NIXOS
  NIX_REMOTE="local?root=$PWD/files" USER=nobody ${pkgs.buildPackages.nix}/bin/nix-store --load-db \
    <${pkgs.buildPackages.closureInfo { rootPaths = systems; }}/registration
''
