import CommandSyntax
import Files
import Foundation
import HostResources

/// The rows of a table, and the program call that measures each.
///
/// Every row comes from its own process, so its peak memory is its own.
struct BenchPlan {
  /// Names that stand for several benchmarks.
  static let groups = ["all", "models", "sizes", "operators"]

  private static let models = [
    "unet", "unet-lora", "vae-decode", "vae-encode", "text-encoder", "preference", "spo-step",
  ]
  private static let operators = [
    "convolution", "linear", "attention", "group-norm", "layer-norm", "geglu",
  ]
  /// Batch sizes for models no larger than the embedded one, as in its training.
  private static let smallBatches = [
    "unet": "8", "unet-lora": "8", "vae-decode": "8", "vae-encode": "8", "text-encoder": "4",
    "preference": "4", "spo-step": "4",
  ]
  /// Benchmarks that are also measured on one thread.
  private static let threaded: Set = ["unet", "vae-decode", "text-encoder"]
  /// Options for every benchmark.
  private static let common: Set = [
    "repeat", "seconds", "cold", "threads", "device", "device-precision", "unproven",
  ]

  private let arguments: Arguments
  private let options: BenchOptions
  /// The device to measure on; nil: the host.
  private let device: String?
  /// The arguments after `spo bench` for each row.
  private var calls: [[String]] = []

  /// - Throws: `UsageError` for an unknown name, or one that does not read the options
  init(_ arguments: Arguments) throws {
    self.arguments = arguments
    options = try BenchOptions(arguments)
    _ = try BenchSchedule(arguments)
    _ = try ComputingDevice.precision(arguments)
    device = try ComputingDevice.name(arguments)
    let names = arguments.operands.isEmpty ? ["all"] : arguments.operands
    let isAlone = names.count == 1 || BenchSubject.named(names[0])?.takesFiles ?? false
    if isAlone, !Self.groups.contains(names[0]) {
      let subject = try BenchSubject(checking: arguments)
      try add(subject, options.files)
    } else {
      for name in names { try add(name) }
    }
    // A device is compared with its own peak.
    guard device == nil else {
      calls.removeAll { $0[0] == "gemm" || $0.contains("--threads") }
      return
    }
    // The baseline of all others.
    let isSingle = calls.contains { $0.contains("--threads") }
    calls.removeAll { $0[0] == "gemm" }
    calls = (isSingle ? [call("gemm", ["--threads", "1"])] : []) + [call("gemm")] + calls
  }

  private mutating func add(_ name: String) throws {
    switch name {
    case "all": for group in Self.groups.dropFirst() { try add(group) }
    case "models": for name in Self.models { try add(name) }
    case "operators": for name in Self.operators { try add(name) }
    case "sizes":
      for side in try isSmall() ? [8, 16, 32, 64] : [32, 64] {
        calls.append(call("unet", ["--size", "\(side)x\(side)"]))
      }
    default:
      guard let subject = BenchSubject.named(name), !subject.takesFiles else {
        throw arguments.error("\(name) cannot be compared with other programs")
      }
      try add(subject)
    }
  }

  private mutating func add(_ subject: BenchSubject, _ files: [String] = []) throws {
    // An iteration of a full-size model takes an hour.
    if subject.name == "spo-step", arguments.operands.count != 1, try !isSmall() { return }
    var chosen = files
    if !arguments.has("batch"), let batch = Self.smallBatches[subject.name], try isSmall() {
      chosen += ["--batch", batch]
    }
    if Self.threaded.contains(subject.name), !arguments.has("threads") {
      calls.append(call(subject.name, chosen + ["--threads", "1"]))
    }
    calls.append(call(subject.name, chosen))
  }

  /// Whether the model is no larger than the embedded one.
  private func isSmall() throws -> Bool { try options.latentSide() < 64 }

  /// Returns a call; requested options are passed on to the benchmarks that read them.
  private func call(_ name: String, _ chosen: [String] = []) -> [String] {
    let read = Self.common.union(BenchSubject.named(name)?.options ?? [])
    let given = Bench.syntax.options.map(\.name).filter {
      read.contains($0) && arguments.has($0) && !chosen.contains("--\($0)")
        && ($0 != "device" || device == nil)
    }
    let limit =
      arguments.has("repeat")
      ? [] : ["--repeat", "50"] + (arguments.has("seconds") ? [] : ["--seconds", "2"])
    return [name] + chosen
      + (device.map { ["--device=\($0)"] } ?? [])
      + given.map { name in "--\(name)" + (arguments.value(name).map { "=\($0)" } ?? "") } + limit
  }

  func run() throws -> [BenchRow] {
    var rows: [BenchRow] = []
    for call in calls {
      Console.note("spo bench \(call.joined(separator: " "))")
      rows += try BenchRow.rows(of: try measure(call))
    }
    return rows
  }

  /// On processors newer than itself OpenBLAS chooses kernels for AVX2, and the baseline would be
  /// half of what the processor can do.
  private static var environmentOfGEMM: [String: String] {
    let all = ProcessInfo.processInfo.environment
    guard KernelBuild.instructionSets.contains("avx512f") else { return all }
    return all.merging(["OPENBLAS_CORETYPE": "SKYLAKEX"]) { chosen, _ in chosen }
  }

  private func measure(_ call: [String]) throws -> JSON {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(
      fileURLWithPath: Bundle.main.executablePath ?? CommandLine.arguments[0])
    process.arguments = ["bench"] + call + ["--json"]
    process.standardOutput = output
    if call[0] == "gemm" { process.environment = Self.environmentOfGEMM }
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      throw BenchFailure(call: call, status: process.terminationStatus)
    }
    return try JSON(parsing: Array(text), source: call.joined(separator: " "))
  }
}

/// A row that could not be measured; the reason was printed to standard error.
struct BenchFailure: ClassifiedError, CustomStringConvertible {
  let call: [String]
  let status: Int32

  var kind: FailureKind { FailureKind(rawValue: status) ?? .other }
  var description: String {
    "spo bench \(call.joined(separator: " ")) exited with code \(status)"
  }
}
