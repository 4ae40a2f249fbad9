# Types of options. base.nix: what a type is; scalars.nix, collections.nix,
# choices.nix, attr-list.nix, attr-tag.nix, submodules.nix: the types.
{ lib }:
import ./base.nix { inherit lib; }
// import ./scalars.nix { inherit lib; }
// import ./collections.nix { inherit lib; }
// import ./choices.nix { inherit lib; }
// import ./attr-list.nix { inherit lib; }
// import ./attr-tag.nix { inherit lib; }
// import ./submodules.nix { inherit lib; }
// {
  types = lib.types;
}
