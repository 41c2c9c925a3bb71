pub const WORKLOADS: [(&str, crate::bench::Workload); 0] = [];
