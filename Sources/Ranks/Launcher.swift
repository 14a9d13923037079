/// The launcher of this process and others, as far as the environment reveals it.
public struct Launcher: Equatable, Sendable {
  /// The name for display.
  public let name: String
  /// The number of processes that it has started.
  public let count: Int
  /// The MPI libraries that may be its own, by name, the most likely first.
  let libraries: [String]

  /// Names the library to load instead.
  public static let libraryVariable = "SPO_MPI_LIBRARY"
  static let slurmName = "srun"

  private static let openMPI = ["libmpi.so.40"]
  private static let mpich = ["libmpi.so.12", "libmpich.so.12"]
  private static let standard = ["libmpi_abi.so.1", "libmpi_abi.so.0"]

  /// Nil if there are no other processes: no launcher, or one that has started a single process.
  ///
  /// `SLURM_NTASKS` is no indication: a batch script that runs as one process has it, too.
  public init?(environment: [String: String]) throws(RanksError) {
    func launcher(_ name: String, _ variable: String, _ libraries: [String]) throws(RanksError)
      -> Launcher?
    {
      guard let value = environment[variable] else { return nil }
      guard let count = Int(value), count >= 1 else {
        throw .badCount(variable: variable, value: value)
      }
      guard count > 1 else { return nil }
      let own = environment[Self.libraryVariable].flatMap { $0.isEmpty ? nil : [$0] }
      return Launcher(name: name, count: count, libraries: own ?? libraries)
    }
    let open = try launcher(
      "Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", Self.openMPI + Self.standard)
    let hydra = try launcher(
      "mpirun of MPICH or a derivative", "PMI_SIZE", Self.mpich + Self.standard + Self.openMPI)
    if let open, let hydra { throw .nested(inner: hydra.name, outer: open.name) }
    // Slurm's step, whose tasks may themselves be launchers' helpers: those launchers come first.
    let slurm = try launcher(
      Self.slurmName, "SLURM_STEP_NUM_TASKS",
      environment["PMIX_RANK"] == nil
        ? Self.mpich + Self.standard + Self.openMPI : Self.openMPI + Self.standard + Self.mpich)
    guard let found = open ?? hydra ?? slurm else { return nil }
    self = found
  }

  /// Returns this process's index on its machine; 0 if unknown.
  ///
  /// Slurm's comes last: it may be that of another launcher's helper.
  static func localRank(environment: [String: String]) -> Int {
    [
      "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "MV2_COMM_WORLD_LOCAL_RANK",
      "PALS_LOCAL_RANKID", "SLURM_LOCALID",
    ].lazy.compactMap { environment[$0].flatMap { Int($0) } }.first { $0 >= 0 } ?? 0
  }

  private init(name: String, count: Int, libraries: [String]) {
    (self.name, self.count, self.libraries) = (name, count, libraries)
  }
}
