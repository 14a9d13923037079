import Backends
import CommandSyntax
import Devices
import Files
import HostResources
import PipelineCore
import Ranks
import StageSupport
import Stages

/// `spo doctor`: checks this machine and estimates what a pipeline needs.
enum DoctorCommand: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "doctor",
      summary: "Check this machine, and estimate the memory, disk and time that a pipeline needs.",
      operands: [CommandSyntax.Operand("PIPELINE", isOptional: true)],
      options: [
        .value("set", "STAGE.KEY=VALUE", isRepeatable: true, "override a setting of the pipeline"),
        .value("workspace", "DIR", "estimate for this workspace"),
        .value("partitions", "N", "estimate each part, with stages divided into N"),
        .flag(
          "measure",
          "measure this processor or GPU again, instead of using the rates kept in ~/.cache/spo"),
        .value(
          "gpu-memory", "GB", "estimate for a GPU with so much memory, which need not be here"),
        .flag("device-check", "instead, compare every operation on the devices with the CPU"),
        .value("after", "NAME", "for --device-check: begin after this operation"),
        .value("device", "NAME", "for --device-check: only this device, such as cuda:0"),
        ComputingDevice.precisionOption,
        .flag("json", "print one JSON object"),
      ],
      examples: [
        ("spo doctor", "libraries, threads, memory, disk"),
        (
          "spo doctor pipelines/sd15.json5", "what is missing, what does not fit, how long it takes"
        ),
        (
          "spo doctor pipelines/sd15.json5 --gpu-memory 24 --set device_precision=f16",
          "whether a GPU of 24 GB would hold it in half precision"
        ),
        ("spo doctor --device-check", "check the GPU's results against the CPU's"),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    if arguments.has("device-check") { return try DeviceCheckTable(arguments).run() }
    if arguments.has("partitions"), arguments.operands.isEmpty {
      throw arguments.error("--partitions needs a PIPELINE")
    }
    for option in ["measure", "gpu-memory"]
    where arguments.has(option) && arguments.operands.isEmpty {
      throw arguments.error("--\(option) needs a PIPELINE")
    }
    if arguments.has("measure"), arguments.has("gpu-memory") {
      throw arguments.error("--measure cannot be combined with --gpu-memory")
    }
    for option in ["after", "device", "device-precision"] where arguments.has(option) {
      throw arguments.error("--\(option) needs --device-check")
    }
    let machine = MachineReport()
    let doctor = try arguments.operands.first.map { try examined($0, arguments) }
    doctor?.pipeline.sayNotes()
    for note in doctor?.notes ?? [] { Console.note("note: \(note)") }
    let problems = machine.problems + (doctor?.problems ?? [])
    if arguments.has("json") {
      var report = JSON.Object()
      report["machine"] = machine.json
      if let doctor { report["pipeline"] = doctor.json }
      report["problems"] = .array(
        problems.map { ["what": .string($0.what), "remedy": .string($0.remedy)] })
      try Console.print(JSON.object(report).text(.pretty))
    } else {
      try Console.print((machine.lines + (doctor?.lines ?? [])).joined(separator: "\n"))
    }
    guard let last = problems.last else { return }
    if !arguments.has("json") {
      for problem in problems.dropLast() { Console.complain("error: \(problem)") }
    }
    throw last
  }

  private static func examined(_ path: String, _ arguments: Arguments) throws -> Doctor {
    func pipeline(_ overrides: [String]) throws -> Pipeline {
      try Pipeline(
        path: path, stages: stageTypes, overrides: overrides,
        workspace: arguments.value("workspace"))
    }
    let overrides = arguments.values("set")
    let asGiven = try pipeline(overrides)
    try asGiven.usableWorkspace()
    let device = try device(asGiven, arguments)
    let partCount = try arguments.int("partitions", in: 1...Int.max)
    return try Threads.with(count: asGiven.threads ?? Threads.count) {
      let cache =
        device == nil || device?.measured != nil
        ? RateCache(of: device, isFresh: arguments.has("measure")) : nil
      let rates = cache?.read()
      if let device, let rates, rates.secondsPerUnit.isEmpty {
        Console.note("timing each kind of operation on \(device.name) once; this may take a minute")
      }
      let doctor = try Doctor(
        overrides: overrides, limits: .here(asGiven.workspacePath, device: device), rates: rates,
        partCount: partCount, makePipeline: pipeline)
      if let rates { cache?.write(rates) }
      return doctor
    }
  }
}

extension DoctorCommand {
  /// The device that would compute, or the one that is asked about.
  private static func device(
    _ pipeline: Pipeline, _ arguments: Arguments
  ) throws -> PlannedDevice? {
    guard let size = try arguments.double("gpu-memory") else {
      do {
        return try ComputingDevice(
          pipeline.device, pipeline.devicePrecision, LaunchedRanks()
        ).planned
      } catch let error as DeviceError {
        // What fills it now may be gone when the pipeline runs.
        guard case .outOfMemory(_, let name) = error,
          let found = Devices.all.first(where: { $0.name == name })
        else { throw error }
        Console.complain("note: \(error)")
        return PlannedDevice(
          name, byteCount: found.description.byteCount,
          activations: pipeline.devicePrecision.activations)
      }
    }
    guard size > 0, size < 1e6 else {
      throw arguments.error("--gpu-memory must be a number of gigabytes, but is \(size)")
    }
    // As GPUs are sold: a gigabyte is 2^30 bytes.
    return PlannedDevice(
      "a GPU of \(arguments.value("gpu-memory") ?? "") GB", byteCount: Int(size * 0x1p30),
      activations: pipeline.devicePrecision.activations)
  }
}

extension Doctor {
  /// A table with one row per stage.
  var lines: [String] {
    guard !forecasts.isEmpty || !notEstimated.isEmpty else { return [] }
    var rows = [["stage", "memory"] + (device == nil ? [] : ["device"]) + ["disk", "time"]]
    for stage in pipeline.stages.map(\.name) {
      if let forecast = forecasts.first(where: { $0.stage == stage }) {
        rows.append(
          [stage, ByteCount.text(forecast.memory.byteCount(in: .machine))]
            + (device == nil ? [] : [ByteCount.text(forecast.memory.byteCount(in: .device))])
            + [ByteCount.text(forecast.diskByteCount), forecast.seconds.map(Spelled.about) ?? "?"])
      } else if notEstimated.contains(stage) {
        rows.append([stage, "not estimated"])
      }
    }
    if !forecasts.isEmpty {
      rows.append(
        [notEstimated.isEmpty ? "together" : "subtotal", ""] + (device == nil ? [] : [""])
          + [ByteCount.text(diskByteCount), seconds.map(Spelled.about) ?? "?"])
    }
    func padded(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(0, width - text.count))
    }
    return [
      "", "\(pipeline.path)\(device.map { " on \($0.name)" } ?? ""), estimated from the start:",
    ]
      + rows.map { row in
        "  \(padded(row[0], 12))" + row.dropFirst().dropLast().map { padded($0, 10) }.joined()
          + (row.last ?? "")
      }
      + partLines(padded)
  }

  /// Returns one row per divisible stage.
  private func partLines(_ padded: (String, Int) -> String) -> [String] {
    guard let partCount else { return [] }
    let rows =
      [["stage", "bytes", "memory", "time", "merge", "useful parts"]]
      + parts.map {
        [
          $0.stage, ByteCount.text($0.byteCount), ByteCount.text($0.memory),
          $0.seconds.map(Spelled.about) ?? "?", Spelled.about($0.mergeSeconds),
          $0.worthwhileCount.map { "at most \(Spelled.count($0))" } ?? "?",
        ]
      }
    let which = partCount == 1 ? "the only part" : "each of \(Spelled.count(partCount)) parts"
    return ["", "\(which), estimated:"]
      + rows.map { row in
        "  \(padded(row[0], 12))" + row[1...4].map { padded($0, 12) }.joined() + row[5]
      } + ["  (with more than are useful, starting and merging would take longer than the work)"]
  }

  var json: JSON {
    [
      "path": .string(pipeline.path), "workspace": .string(pipeline.workspacePath),
      "file_system": .string(FileSystemKind(at: pipeline.workspacePath).rawValue),
      "device": device.map { .string($0.name) } ?? .null,
      "partitions": partCount.map { .integer($0) } ?? .null,
      "parts": .array(parts.map(\.json)),
      "stages": .array(
        forecasts.map { forecast in
          [
            "stage": .string(forecast.stage),
            "peak_memory": .integer(forecast.memory.byteCount(in: .machine)),
            "device_memory": device == nil
              ? .null : .integer(forecast.memory.byteCount(in: .device)),
            "memory": .array(forecast.memory.parts(in: .machine).map(Self.json)),
            "memory_on_device": .array(forecast.memory.parts(in: .device).map(Self.json)),
            "disk": .integer(forecast.diskByteCount),
            "seconds": forecast.seconds.map { .number($0) } ?? .null,
          ]
        }),
      "not_estimated": .array(notEstimated.map { .string($0) }),
      "notes": .array(notes.map { .string($0) }),
    ]
  }

  private static func json(_ part: MemoryNeed.Part) -> JSON {
    [.string(part.what), .integer(part.byteCount)]
  }
}
