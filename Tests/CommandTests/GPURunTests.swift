import Files
import Foundation
import TestSupport
import Testing

/// Runs on a GPU: each in seconds of one core once the first has compiled the kernels.
@Suite(
  .serialized,
  .enabled(if: TestGPU.isHere, "pocl-opencl-icd or a C compiler is missing: apt-get install both"))
struct GPURunTests {
  private static let lora = "spo/pytorch_lora_weights.safetensors"
  private static let iterations = 3

  /// `spo run` of a few iterations of the stage `spo`.
  private func start(
    _ run: SmallRun, _ arguments: String..., device: String = "cuda", precision: String = "f32",
    compiler: TestGPU.Compiler = .first, wrong: String? = nil
  ) throws -> Program {
    let settings = [
      "device=\(device)", "device_precision=\(precision)", "spo.batch=1", "spo.prompts_at_once=1",
      "spo.sampling_steps=2", "spo.divert_step=1", "spo.stop_step=2", "spo.pair_batch=1",
      "spo.micro_batch=1", "spo.iterations=\(Self.iterations)", "spo.pictures=0",
    ]
    return try Program(
      ["run", SmallRun.pipeline, "--workspace", run.workspace, "--through", "spo"] + arguments
        + settings.flatMap { ["--set", $0] },
      environment: TestGPU.environment(compiler, wrong: wrong))
  }

  /// The stage from its beginning to its end.
  private func whole(
    in folder: String, _ name: String, device: String = "cuda", precision: String = "f32",
    wrong: String? = nil
  ) throws -> (run: SmallRun, outcome: Outcome) {
    let run = try SmallRun.finished(in: "\(folder)/\(name)")
    let outcome = try start(
      run, "--force", "spo", device: device, precision: precision, wrong: wrong
    ).outcome(within: 900)
    return (run, outcome)
  }

  /// The stage killed after its first iteration.
  private func killed(
    in folder: String, _ name: String, precision: String = "f32"
  ) throws -> SmallRun {
    let run = try SmallRun.finished(in: "\(folder)/\(name)")
    let program = try start(run, "--force", "spo", precision: precision)
    try program.wait { try lines(run.path("spo/.building/metrics.jsonl")) > 0 }
    program.die()
    return run
  }

  private func lines(_ path: String) throws -> Int {
    guard FileManager.default.fileExists(atPath: path) else { return 0 }
    return try RegularFile(path: path).readAll().count { $0 == UInt8(ascii: "\n") }
  }

  private func devices(_ run: SmallRun) throws -> [String] {
    let record = try JSONReader(contentsOf: run.path("state/spo.json"))
    return try record["devices"].elements().map { try $0.string() }
  }

  @Test("a run that is killed, and goes on after an update of the compiler, ends in the same bytes")
  func updatedCompiler() throws {
    try withTemporaryFolder { folder in
      let (alone, outcome) = try whole(in: folder, "alone")
      expectSuccess(outcome)
      let expected = try alone.bytes(Self.lora)

      let run = try killed(in: folder, "killed")
      let again = try start(run, compiler: .second).outcome(within: 900)
      expectSuccess(again)
      #expect(again.errors.contains("continuing by the machine code that was kept of"), "\(again)")
      #expect(again.errors.contains("spo: resuming"), "\(again)")
      #expect(try run.bytes(Self.lora) == expected)
      #expect(try devices(run) == devices(alone))

      // Without what was kept it is refused, and the new compiler's code is another.
      let other = try killed(in: folder, "without")
      try FileManager.default.removeItem(atPath: other.path("state/kernels"))
      expect(
        try start(other, compiler: .second).outcome(within: 900), failsAs: .settings,
        naming: "NVRTC 12.1", "NVRTC 12.2", "--set may_change_device=true")
      expectSuccess(
        try start(other, "--set", "may_change_device=true", compiler: .second).outcome(within: 900))
      #expect(try other.bytes(Self.lora) != expected)
      #expect(try devices(other).count == 2)
    }
  }

  @Test("a GPU that computes wrongly is left for the CPU by auto, with a word, and refused by name")
  func wrong() throws {
    try withTemporaryFolder { folder in
      let reason =
        "cuda:0 gives wrong results in 1 of its operations, such as clamp; update its driver"
      let (host, _) = try whole(in: folder, "host", device: "cpu")
      let (run, outcome) = try whole(
        in: folder, "auto", device: "auto", wrong: "clampElements")
      expectSuccess(outcome)
      #expect(
        outcome.errors.contains("note: computing on the CPU, since \(reason)"), "\(outcome)")
      #expect(try devices(run) == ["cpu"])
      #expect(try run.bytes(Self.lora) == host.bytes(Self.lora))
      // What was found is kept, and said again.
      let again = try start(run, device: "auto", wrong: "clampElements").outcome(within: 900)
      #expect(again.exitCode == 0 && again.errors.contains(reason), "\(again)")
      expect(
        try start(run, device: "cuda", wrong: "clampElements").outcome(within: 900),
        failsAs: .other, naming: reason)
    }
  }

  @Test("a GPU that computes wrongly is measured if that is asked for, and the result says so")
  func unproven() throws {
    func bench(_ arguments: String...) throws -> Outcome {
      try Program(
        ["bench", "text-encoder", "--device", "cuda", "--device-precision", "f32", "--repeat", "1"]
          + arguments,
        environment: TestGPU.environment(.first, wrong: "clampElements")
      ).outcome(within: 900)
    }
    expect(try bench("--json"), failsAs: .other, naming: "cuda:0 gives wrong results in 1")
    let json = try bench("--json", "--unproven")
    expectSuccess(json)
    #expect(json.output.contains(#""unproven":true"#), "\(json)")
    let table = try bench("--unproven")
    #expect(table.exitCode == 0 && table.output.contains("text-encoder, unproven"), "\(table)")
  }

  @Test("after a kernel that crashes nothing is compared, until the comparison goes on after it")
  func lost() throws {
    func check(_ arguments: String...) throws -> Outcome {
      try Program(
        ["doctor", "--device-check", "--device", "cuda", "--device-precision", "f32"] + arguments,
        environment: TestGPU.environment(.first, lost: "clampElements")
      ).outcome(within: 900)
    }
    func names(_ outcome: Outcome) -> [String] {
      outcome.output.split(separator: "\n").compactMap { line in
        line.firstMatch(of: /^ +(?:right|WRONG) .* of \S+  (.*)$|^ +FAILED  ([^:]*):/).map {
          String($0.1 ?? $0.2 ?? "")
        }
      }
    }
    let first = try check()
    let compared = names(first)
    let count = try #require(
      first.errors.firstMatch(of: /the device was lost in clamp; (\d+) operations/).map {
        Int($0.1)
      })
    expect(first, failsAs: .other, naming: #"--after "clamp""#)
    #expect(compared.last == "clamp")
    #expect(first.output.ranges(of: "FAILED").count == 1, "\(first)")
    let rest = try check("--after", "clamp")
    expectSuccess(rest)
    #expect(names(rest).count == count && !names(rest).contains("clamp"), "\(rest)")
    // What is compared in part proves no device.
    let bench = try Program(
      ["bench", "text-encoder", "--device", "cuda", "--device-precision", "f32", "--json"],
      environment: TestGPU.environment(.first, lost: "clampElements")
    ).outcome(within: 900)
    expect(bench, failsAs: .other, naming: "the device was lost in clamp")
    expect(try check("--after", "clamps"), failsAs: .usage, naming: #"did you mean "clamp"?"#)
  }

  @Test("a GPU that others have filled is not given up for the CPU", arguments: ["auto", "cuda"])
  func full(device: String) throws {
    try withTemporaryFolder { folder in
      let (_, outcome) = try whole(
        in: folder, device, device: device, wrong: "cuDevicePrimaryCtxRetain")
      expect(outcome, failsAs: .space, naming: "no memory: cuda:0 has none left")
    }
  }

  @Test("a run in half precision is recorded as such, and continued in no other precision")
  func halfPrecision() throws {
    try withTemporaryFolder { folder in
      let (alone, outcome) = try whole(in: folder, "alone", device: "auto", precision: "f16")
      expectSuccess(outcome)
      #expect(outcome.errors.contains("computing on cuda:0, a test's GPU"), "\(outcome)")
      #expect(try devices(alone).allSatisfy { $0.contains("f16") })
      let run = try killed(in: folder, "killed", precision: "f16")
      expect(
        try start(run, precision: "f32").outcome(within: 900), failsAs: .settings,
        naming: "--set may_change_device=true")
      expectSuccess(try start(run, precision: "f16").outcome(within: 900))
      #expect(try run.bytes(Self.lora) == alone.bytes(Self.lora))
    }
  }
}
