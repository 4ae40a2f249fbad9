# Texts in an order given by what each needs before it: activation scripts.
{ lib }:
let
  inherit (builtins)
    head
    isAttrs
    tail
    ;
in
rec {
  # Texts of the named snippets, each after its deps and only once. Snippets
  # given whole instead of by name come each time.
  textClosureList =
    snippets: wanted:
    let
      walk =
        done: remaining:
        if remaining == [ ] then
          {
            texts = [ ];
            inherit done;
          }
        else
          let
            entry = head remaining;
            rest = tail remaining;
            before = walk done entry.deps;
            after = walk before.done rest;
          in
          if isAttrs entry then
            {
              texts = before.texts ++ [ entry.text ] ++ after.texts;
              inherit (after) done;
            }
          else if done ? ${entry} then
            walk done rest
          else
            walk (done // { ${entry} = true; }) ([ snippets.${entry} ] ++ rest);
    in
    (walk { } wanted).texts;
  textClosureMap =
    f: snippets: wanted:
    lib.strings.concatMapStringsSep "\n" f (textClosureList snippets wanted);

  noDepEntry = text: fullDepEntry text [ ];
  fullDepEntry = text: deps: { inherit text deps; };
  packEntry = fullDepEntry "";
  stringAfter = deps: text: fullDepEntry text deps;
}
