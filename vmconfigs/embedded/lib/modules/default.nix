# The module system. What is here under another name than in nixpkgs
# (branches, mergeTree, …) serves the other files of this folder.
{ lib }:
import ./properties.nix { inherit lib; }
// import ./definitions.nix { inherit lib; }
// import ./tree.nix { inherit lib; }
// import ./collect.nix { inherit lib; }
// import ./messages.nix { inherit lib; }
// import ./eval.nix { inherit lib; }
// import ./rename.nix { inherit lib; }
// import ./explain.nix { inherit lib; }
// {
  importApply =
    path: arg: lib.modules.setDefaultModuleLocation path (import path arg);
  importJSON = file: {
    _file = file;
    config = lib.trivial.importJSON file;
  };
  importTOML = file: {
    _file = file;
    config = lib.trivial.importTOML file;
  };
}
