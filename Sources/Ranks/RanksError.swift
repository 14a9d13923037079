/// Why the processes that a launcher started cannot work together.
public enum RanksError: Error, Equatable, CustomStringConvertible {
  case badCount(variable: String, value: String)
  case nested(inner: String, outer: String)
  case noLibrary(launcher: String, tried: [String])
  case notMPI(library: String, missing: String)
  /// `found`: the library's own name
  case otherLibrary(launcher: String, count: Int, library: String, found: String, size: Int)
  case failed(function: String, reason: String)
  case otherProgram(rank: Int, host: String)
  case launcherDied
  case apart(rank: Int)
  case otherPipeline(rank: Int, host: String, stage: String)

  public var description: String {
    switch self {
    case .badCount(let variable, let value):
      "\(variable) must be the number of processes that the launcher has started, but is \"\(value)\""
    case .nested(let inner, let outer):
      "\(inner) was started by \(outer): each of its runs would write to the same workspace; start the "
        + "processes by one launcher"
    case .noLibrary(let launcher, let tried):
      "\(launcher) has started several processes, but there is no MPI library among "
        + "\(tried.joined(separator: ", ")); put the launcher's own into LD_LIBRARY_PATH or its path into "
        + "\(Launcher.libraryVariable), or start one process"
    case .notMPI(let library, let missing):
      "\(library): not an MPI library that this program knows: it has no \(missing)"
    case .otherLibrary(let launcher, let count, let library, let found, let size):
      "\(launcher) has started \(count) processes, but \(library) (\(found)) sees \(size): it is not the "
        + "launcher's library; put the path of the launcher's libmpi into \(Launcher.libraryVariable)"
        + (launcher == Launcher.slurmName ? ", or choose srun's --mpi=pmix or --mpi=pmi2" : "")
    case .failed(let function, let reason): "MPI: \(function) failed: \(reason)"
    case .otherProgram(let rank, let host):
      "rank \(rank) on \(host) runs a different build of this program from rank 0; install the same on all "
        + "machines"
    case .launcherDied:
      "the launcher died, and another rank does not answer; run the same command to continue from the last checkpoint"
    case .apart(let rank):
      "the weights of rank \(rank) differ from those of rank 0; a machine's memory or network "
        + "may be faulty: run again to continue from the last checkpoint"
    case .otherPipeline(let rank, let host, let stage):
      "rank \(rank) on \(host) reads different settings of stage \(stage) from rank 0; all ranks must see the "
        + "same pipeline file"
    }
  }
}
