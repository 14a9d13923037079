import Ranks
import TestSupport
import Testing

@Suite struct LauncherTests {
  @Test(
    "launchers of several processes are known by their variables",
    arguments: [
      (["OMPI_COMM_WORLD_SIZE": "4"], "Open MPI's mpirun", 4),
      (["PMI_SIZE": "2"], "mpirun of MPICH or a derivative", 2),
      (["SLURM_STEP_NUM_TASKS": "8"], "srun", 8),
      // mpirun in a job of Slurm starts its helpers by srun, one on each machine.
      (["SLURM_STEP_NUM_TASKS": "2", "OMPI_COMM_WORLD_SIZE": "16"], "Open MPI's mpirun", 16),
    ])
  func known(_ environment: [String: String], _ name: String, _ count: Int) throws {
    let launcher = try Launcher(environment: environment)
    #expect(launcher?.name == name && launcher?.count == count)
  }

  @Test(
    "one process needs no library, whoever started it",
    arguments: [
      [:], ["OMPI_COMM_WORLD_SIZE": "1"], ["PMI_SIZE": "1"], ["SLURM_STEP_NUM_TASKS": "1"],
      // A batch script, and a job of an array.
      ["SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_ARRAY_TASK_ID": "3"],
      ["SPO_MPI_LIBRARY": "/nowhere"],
    ])
  func alone(_ environment: [String: String]) throws {
    #expect(try Launcher(environment: environment) == nil)
    let launched = try LaunchedRanks(environment: environment) {
      Issue.record("asked who it is")
      return Self.introduction(0)
    }
    #expect(launched.ranks.isAlone && launched.summary == nil)
  }

  @Test("nested launchers, counts that are none and missing libraries are refused by name")
  func refusals() throws {
    #expect(throws: RanksError.badCount(variable: "PMI_SIZE", value: "two")) {
      try Launcher(environment: ["PMI_SIZE": "two"])
    }
    #expect(throws: RanksError.self) {
      try Launcher(environment: ["PMI_SIZE": "2", "OMPI_COMM_WORLD_SIZE": "3"])
    }
    func launch(_ library: String) throws {
      _ = try LaunchedRanks(environment: ["PMI_SIZE": "2", "SPO_MPI_LIBRARY": library]) {
        Self.introduction(0)
      }
    }
    #expect(
      throws: RanksError.noLibrary(
        launcher: "mpirun of MPICH or a derivative", tried: ["/nowhere/libmpi.so"])
    ) { try launch("/nowhere/libmpi.so") }
    #expect(throws: RanksError.notMPI(library: "libm.so.6", missing: "MPI_Isend")) {
      try launch("libm.so.6")
    }
  }

  @Test("a process that works alone among others knows its number on its machine")
  func localRank() {
    #expect(LaunchedRanks(aloneIn: [:]).localRank == 0)
    #expect(LaunchedRanks(aloneIn: ["SLURM_LOCALID": "3"]).localRank == 3)
    #expect(LaunchedRanks(aloneIn: ["SLURM_LOCALID": "-1"]).localRank == 0)
    #expect(
      LaunchedRanks(aloneIn: ["SLURM_LOCALID": "0", "OMPI_COMM_WORLD_LOCAL_RANK": "2"]).localRank
        == 2)
  }

  private static func introduction(
    _ rank: Int, program: String = "a"
  ) -> LaunchedRanks.Introduction {
    LaunchedRanks.Introduction(
      host: rank < 2 ? "one" : "two", program: program, processor: rank < 3 ? "old" : "new",
      affinity: rank == 0 ? "0" : "0-1", devices: rank == 4 ? "0,1" : "-")
  }

  @Test("each rank learns its number on its machine and who shares its processors")
  func introductions() throws {
    let all = try ThreadRanks.run(5) { ranks in
      let launched = try LaunchedRanks(ranks, Self.introduction(ranks.rank), by: "a test")
      return (
        launched.localRank, launched.sharing, launched.summary, launched.processors,
        launched.localCount
      )
    }
    // The last one sees other devices than those beside it.
    #expect(all.map(\.0) == [0, 1, 0, 1, 0])
    #expect(all.map(\.4) == [2, 2, 2, 2, 1])
    #expect(all.map(\.1) == [1, 1, 3, 3, 3])
    #expect(all[0].2 == "5 ranks on 2 machines, by a test")
    #expect(all[4].3 == ["new", "old"])
  }

  @Test("another build of the program is refused, with its machine")
  func otherProgram() throws {
    #expect(throws: RanksError.otherProgram(rank: 2, host: "two")) {
      _ = try ThreadRanks.run(3) { ranks in
        _ = try LaunchedRanks(
          ranks, Self.introduction(ranks.rank, program: ranks.rank == 2 ? "b" : "a"), by: "a test")
      }
    }
  }
}
