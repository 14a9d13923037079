import DynamicLibraries
import Glibc

/// An MPI library loaded at run time: no headers, no linking.
///
/// Three binary interfaces are supported: that of Open MPI 4 and 5, that of MPICH 4 and 5, which
/// Intel's and Cray's libraries share, and the standard's own from MPI 5 on. All handles are passed
/// as words: those of MPICH are numbers, those of Open MPI addresses.
struct MPILibrary {
  /// Constants that differ between the interfaces.
  private struct Values {
    let world: UInt
    let byte: UInt
    let errorsReturn: UInt
    /// Other threads compute, but only one communicates.
    let threadFunneled: CInt
  }

  typealias Bytes = UnsafeMutableRawPointer
  typealias Number = UnsafeMutablePointer<CInt>
  typealias Transfer =
    @convention(c) (UInt, CInt, UInt, CInt, CInt, UInt, UnsafeMutablePointer<UInt>) -> CInt

  private static let standardName = "libmpi_abi.so"

  let name: String
  /// The launcher's process on this machine, or an intermediate script.
  private let parent = getppid()
  private let values: Values
  private let isend: Transfer
  private let irecv: Transfer
  private let test: @convention(c) (UnsafeMutablePointer<UInt>, Number, Bytes) -> CInt
  private let initThread: @convention(c) (UInt, UInt, CInt, Number) -> CInt
  private let setHandler: @convention(c) (UInt, UInt) -> CInt
  private let commRank: @convention(c) (UInt, Number) -> CInt
  private let commSize: @convention(c) (UInt, Number) -> CInt
  private let errorString: @convention(c) (CInt, UnsafeMutablePointer<CChar>, Number) -> CInt
  private let libraryVersion: @convention(c) (UnsafeMutablePointer<CChar>, Number) -> CInt
  private let finalize: @convention(c) () -> CInt
  private let abort: @convention(c) (UInt, CInt) -> CInt

  /// - Parameter library: loaded so that its plugins find its symbols
  init(_ library: DynamicLibrary) throws(RanksError) {
    func function<Function>(_ name: String, _ type: Function.Type) throws(RanksError) -> Function {
      guard let found = library.function(name, as: type) else {
        throw .notMPI(library: library.name, missing: name)
      }
      return found
    }
    func address(_ name: String) throws(RanksError) -> UInt {
      guard let found = library.address(name) else {
        throw .notMPI(library: library.name, missing: name)
      }
      return found
    }
    name = library.name
    if library.address("ompi_mpi_comm_world") != nil {
      values = Values(
        world: try address("ompi_mpi_comm_world"), byte: try address("ompi_mpi_byte"),
        errorsReturn: try address("ompi_mpi_errors_return"), threadFunneled: 1)
    } else if library.name.contains(Self.standardName) {
      values = Values(world: 0x101, byte: 0x247, errorsReturn: 0x143, threadFunneled: 1024)
    } else {
      values = Values(
        world: 0x4400_0000, byte: 0x4c00_010d, errorsReturn: 0x5400_0001, threadFunneled: 1)
    }
    isend = try function("MPI_Isend", Transfer.self)
    irecv = try function("MPI_Irecv", Transfer.self)
    test = try function(
      "MPI_Test",
      (@convention(c) (UnsafeMutablePointer<UInt>, Number, Bytes) -> CInt).self)
    initThread = try function(
      "MPI_Init_thread", (@convention(c) (UInt, UInt, CInt, Number) -> CInt).self)
    setHandler = try function(
      "MPI_Comm_set_errhandler", (@convention(c) (UInt, UInt) -> CInt).self)
    commRank = try function("MPI_Comm_rank", (@convention(c) (UInt, Number) -> CInt).self)
    commSize = try function("MPI_Comm_size", (@convention(c) (UInt, Number) -> CInt).self)
    errorString = try function(
      "MPI_Error_string",
      (@convention(c) (CInt, UnsafeMutablePointer<CChar>, Number) -> CInt).self)
    libraryVersion = try function(
      "MPI_Get_library_version",
      (@convention(c) (UnsafeMutablePointer<CChar>, Number) -> CInt).self)
    finalize = try function("MPI_Finalize", (@convention(c) () -> CInt).self)
    abort = try function("MPI_Abort", (@convention(c) (UInt, CInt) -> CInt).self)
  }

  /// The first line or words of the library's version string, such as `Open MPI v4.1.4`.
  var version: String {
    let text = Self.text { buffer, length in _ = libraryVersion(buffer, length) }
    let words = text.prefix { !$0.isNewline && $0 != "," }
    return words.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  private static func text(_ body: (UnsafeMutablePointer<CChar>, Number) -> Void) -> String {
    // The longest that any of the interfaces permits.
    var buffer = [CChar](repeating: 0, count: 8192)
    var length: CInt = 0
    body(&buffer, &length)
    return String(
      decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private func check(_ code: CInt, _ function: String) throws(RanksError) {
    guard code != 0 else { return }
    let reason = Self.text { buffer, length in _ = errorString(code, buffer, length) }
    throw .failed(function: function, reason: reason.isEmpty ? "code \(code)" : reason)
  }
}

// MARK: - Calls

extension MPILibrary {
  /// Joins the processes started by the launcher.
  func start() throws(RanksError) -> (rank: Int, size: Int) {
    var (provided, rank, size): (CInt, CInt, CInt) = (0, 0, 0)
    try check(initThread(0, 0, values.threadFunneled, &provided), "MPI_Init_thread")
    // Errors are reported and do not terminate the process.
    try check(setHandler(values.world, values.errorsReturn), "MPI_Comm_set_errhandler")
    try check(commRank(values.world, &rank), "MPI_Comm_rank")
    try check(commSize(values.world, &size), "MPI_Comm_size")
    return (Int(rank), Int(size))
  }

  func send(_ bytes: UnsafeRawBufferPointer, to rank: Int) throws {
    try transfer(isend, "MPI_Isend", UInt(bitPattern: bytes.baseAddress), bytes.count, rank) {}
  }

  func receive(
    into bytes: UnsafeMutableRawBufferPointer, from rank: Int, check: () throws -> Void
  ) throws {
    let start = UInt(bitPattern: bytes.baseAddress)
    try transfer(irecv, "MPI_Irecv", start, bytes.count, rank, check: check)
  }

  /// Starts a transfer and waits for its end: at first by polling, then mostly sleeping, since
  /// another process may need the processor to finish what this one waits for.
  private func transfer(
    _ function: Transfer, _ name: String, _ start: UInt, _ byteCount: Int, _ rank: Int,
    check interrupt: () throws -> Void
  ) throws {
    // A request is an `int` or an address, a status 20 to 32 bytes.
    var request: UInt = 0
    var status = (UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0))
    try check(
      function(
        start, CInt(byteCount), values.byte, CInt(rank), 0, values.world, &request), name)
    var isDone: CInt = 0
    var attempts = 0
    while true {
      try check(withUnsafeMutablePointer(to: &status) { test(&request, &isDone, $0) }, "MPI_Test")
      guard isDone == 0 else { return }
      try interrupt()
      attempts += 1
      // A wait of more than a second may last hours.
      if attempts < 100 { sched_yield() } else { usleep(attempts < 10_000 ? 100 : 1_000) }
      // The others may be dead, with nobody left to report it.
      if attempts > 10_000, attempts % 1_000 == 0, getppid() != parent {
        throw RanksError.launcherDied
      }
    }
  }

  // Without a launcher, a library may hang in both: SIGALRM then ends the process.

  func finish() {
    alarm(120)
    _ = finalize()
    alarm(0)
  }

  func end(exitCode: Int32) -> Never {
    alarm(10)
    _ = abort(values.world, exitCode)
    _exit(exitCode)
  }
}

/// The ranks of an MPI run.
struct MPIRanks: MessagePassing {
  let library: MPILibrary
  let rank: Int
  let count: Int

  func send(_ bytes: UnsafeRawBufferPointer, to rank: Int) throws {
    try library.send(bytes, to: rank)
  }

  func receive(
    into bytes: UnsafeMutableRawBufferPointer, from rank: Int, check: () throws -> Void
  ) throws {
    try library.receive(into: bytes, from: rank, check: check)
  }

  func finish() { library.finish() }
  func abort(exitCode: Int32) -> Never { library.end(exitCode: exitCode) }
}
