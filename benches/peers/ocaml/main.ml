(* WORKLOAD --heap BYTES --live BYTES --steps FILE --threads 1 --PARAMETER VALUE ... *)

let workloads =
  [
    ("churn", Churn.run);
    ("binary-trees", Binary_trees.run);
    ("scatter", Scatter.run);
    ("pusher", Pusher.run);
    ("queue", Fifo.run);
    ("quads", Quads.run);
    ("mt-gcbench", Mt_gcbench.run);
    ("graph", Graph.run);
    ("lru", Lru.run);
    ("arrays", Arrays.run);
    ("splay", Splay.run);
    ("gcold", Gcold.run);
    ("sweep", Sweep.run);
  ]

let run = function
  | workload :: rest ->
      Bench.read_arguments rest;
      let work =
        match List.assoc_opt workload workloads with
        | Some work -> work
        | None -> failwith (Printf.sprintf "there is no workload %s" workload)
      in
      if Bench.parameter "threads" <> 1 then failwith "this program has one thread";
      Bench.set_limit ();
      let check = work () in
      Option.iter Bench.write_steps (Hashtbl.find_opt Bench.arguments Bench.file);
      Bench.print_result workload check
  | [] -> failwith "which workload?"

let () =
  let fail status text =
    prerr_endline ("ocaml: " ^ text);
    exit status
  in
  try run (List.tl (Array.to_list Sys.argv)) with
  | Bench.Damaged text | Failure text | Sys_error text -> fail 1 text
  | Out_of_memory -> fail 2 "out of memory"
