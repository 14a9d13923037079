import Files
import Foundation
import TestSupport
import Testing

/// The exit codes that scripts rely on, command by command.
@Suite(.serialized) struct ExitCodeTests {
  @Test(
    "a command line that is not understood: 2",
    arguments: [
      [], ["ru"], ["run"], ["run", "a", "b"], ["run", "x", "--bogus"], ["run", "x", "--set"],
      ["run", "x", "--quiet=yes"], ["run", "x", "--partition", "3/2"],
      ["run", "x", "--through", "ingest", "--partition", "3/2"],
      ["run", "x", "--through", "ingest", "--partition", "auto"],
      ["run", "x", "--through", "ingest", "--partition", "auto/2"],
      ["run", "x", "--through", "ingest", "--partition", "0/2"],
      ["run", "x", "--through", "ingest", "--partition", "1/2", "--merge"],
      ["run", "x", "--through", "ingest", "--partition", "1/2", "--force", "ingest"],
      ["run", "x", "--partition", "1/2"], ["run", "x", "--merge"],
      ["run", "x", "--scratch", "x"], ["doctor", "--partitions", "2"], ["status"],
      ["inspect"], ["decode", "x"], ["sample"], ["sample", "--model", "data/tiny-sd"],
      ["sample", "--model", "data/tiny-sd", "--prompt", "x", "--out", "x", "--steps", "0"],
      ["sample", "--model", "data/tiny-sd", "--prompt", "x", "--out", "x", "--size", "7"],
      ["sample", "--model", "data/tiny-sd", "--prompt", "x", "--out", "x", "--rng", "dice"],
      ["sample", "--model", "data/tiny-sd", "--prompt", "x", "--out", "x", "--scheduler", "x"],
      ["export", "--model", "data/tiny-sd"],
      ["export", "--model", "data/tiny-sd", "--lora", "x", "--out", "x", "--to", "x"],
      ["tokenize", "--text", "x"], ["apply"], ["apply", "unte"], ["bench", "unte"],
      ["sample", "--model", "data/tiny-sd", "--prompt", "x", "--device-precision", "f8"],
      ["sample", "--model", "data/tiny-sd", "--device", "cpu", "--device-precision", "f16"],
      ["bench", "unet", "--plan", "--device", "cpu", "--device-precision", "tf32"],
      ["doctor", "--after", "clamp"], ["doctor", "--device-check", "--after", "nothing"],
      ["bench", "--plan"], ["bench", "models", "--plan"],
      ["doctor", "a", "b"],
      ["help", "ru"],
    ])
  func usage(arguments: [String]) throws {
    let outcome = try Program(arguments).outcome()
    expect(outcome, failsAs: .usage, naming: "--help")
    #expect(outcome.output.isEmpty)
  }

  @Test(
    "other programs' names of devices and precisions are understood, not accepted",
    arguments: [
      ("device", "gpu", #"did you mean "cuda"?"#), ("device", "CUDA:1", #"did you mean "cuda:1"?"#),
      ("device-precision", "fp16", "did you mean f16?"),
      ("device-precision", "float16", "did you mean f16?"),
      ("device-precision", "half", "did you mean f16?"),
    ])
  func otherNames(option: String, name: String, hint: String) throws {
    expect(
      try spo("sample", "--model", "data/tiny-sd", "--\(option)", name), failsAs: .usage,
      naming: hint)
  }

  @Test("a path that is not UTF-8 is not taken for another: 2")
  func undecodable() throws {
    let outcome = try Program(
      ["status"],
      emulator: ["/bin/sh", "-c", "exec \"$@\" --workspace \"$(printf '/tmp/\\377')\"", "sh"]
    ).outcome()
    expect(outcome, failsAs: .usage, naming: "argument 3 is not UTF-8")
  }

  @Test("a pipeline that says what there is not: 3", arguments: ["run", "status", "doctor"])
  func settings(command: String) throws {
    for (text, word) in [
      ("{workspace: 'w', stages: {ingest: {sorce: 'x'}}}", "source"),
      ("{workspace: 'w', stages: {injest: {}}}", "ingest"),
      ("{workspace: 'w', stages: {ingest: 3}}", "ingest"),
      ("{workspace: 'w', stage: {}}", "stages"), ("{stages: {}}", "workspace"),
      ("{workspace: 'w', stages: {}}", "lists no stage"),
      ("{workspace: 'w', device: 'cuda:97', stages: {ingest: {source: 'x'}}}", "cuda:97"),
      ("{workspace: 'w', device: 'opencl:97', stages: {ingest: {source: 'x'}}}", "opencl:97"),
      ("{workspace: 'w', device: 'NVIDIA', stages: {ingest: {source: 'x'}}}", #"mean "cuda"?"#),
      ("{workspace: 'w', device_precision: 'f8', stages: {ingest: {source: 'x'}}}", "f16"),
    ] {
      try withTemporaryFolder { folder in
        let path = "\(folder)/pipeline.json5"
        try AtomicFile.replace(path, with: Array(text.utf8))
        expect(try spo(command, path), failsAs: .settings, naming: word)
      }
    }
  }

  /// Files that are missing or no files, by command; `FOLDER` is a temporary one.
  static let missingFiles: [[String]] = [
    ["run", "FOLDER/none.json5"], ["status", "FOLDER/none.json5"], ["doctor", "FOLDER/none.json5"],
    ["inspect", "FOLDER/none"], ["inspect", "FOLDER"], ["inspect", "/dev/zero"],
    ["decode", "FOLDER/none.jpg", "--out", "FOLDER/x.png"],
    ["sample", "--model", "FOLDER/none", "--prompt", "x", "--out", "FOLDER/x.png"],
    ["sample", "--model", "FOLDER", "--prompt", "x", "--out", "FOLDER/x.png"],
    [
      "sample", "--model", "data/tiny-sd", "--lora", "FOLDER/none", "--prompt", "x", "--out",
      "FOLDER/x.png",
    ],
    [
      "export", "--model", "data/tiny-sd", "--lora", "FOLDER/none", "--to", "lora", "--out",
      "FOLDER/x",
    ],
    ["tokenize", "--model", "FOLDER/none", "--text", "x"],
    [
      "apply", "unet", "--model", "data/tiny-sd", "--inputs", "FOLDER/none", "--outputs",
      "FOLDER/x",
    ],
    [
      "run", "pipelines/quickstart.json5", "--workspace", "FOLDER/w", "--set",
      "ingest.source=FOLDER/*.parquet",
    ],
    [
      "run", "pipelines/quickstart.json5", "--workspace", "FOLDER/w", "--set", "model=FOLDER/none",
    ],
  ]

  @Test("a file that is missing or no file: 4", arguments: missingFiles)
  func missing(arguments: [String]) throws {
    try withTemporaryFolder { folder in
      let words = arguments.map { $0.replacingOccurrences(of: "FOLDER", with: folder) }
      expect(try Program(words).outcome(), failsAs: .input)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty, "something was left")
    }
  }

  @Test("a damaged file: 4")
  func damaged() throws {
    try withTemporaryFolder { folder in
      for (name, copy) in [
        ("commands/published.parquet", "a.parquet"), ("imaging/baseline-420.jpg", "b.jpg"),
        ("safetensors/mixed.safetensors", "c.safetensors"),
      ] {
        let path = "\(folder)/\(copy)"
        let bytes = try RegularFile(path: fixturePath(name)).readAll()
        try AtomicFile.replace(path, with: Array(bytes.prefix(bytes.count * 2 / 3)))
        let outcome =
          copy.hasSuffix("jpg")
          ? try spo("decode", path, "--out", "\(folder)/x.png") : try spo("inspect", path)
        expect(outcome, failsAs: .input, naming: path)
      }
    }
  }

  @Test("a stage is interrupted while it prepares, too: 130")
  func interruptedPreparation() throws {
    try withTemporaryFolder { folder in
      let workspace = "\(folder)/workspace"
      let program = try Program([
        "run", "Tests/Torture/pipelines/base.json5", "--workspace", workspace, "--set",
        "denoiser.pictures=6000",
      ])
      try program.wait {
        FileManager.default.fileExists(atPath: "\(workspace)/state/denoiser.json")
      }
      program.interrupt()
      let outcome = try program.outcome()
      #expect(outcome.exitCode == 130)
      // What it says when all is rendered.
      #expect(!outcome.errors.contains("encoding 6000 renders"), "\(outcome)")
    }
  }

  @Test("a workspace in which another process works: 6; interrupted: 130, and the state is kept")
  func busyAndInterrupted() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      let first = try Program(
        [
          "run", SmallRun.pipeline, "--workspace", run.workspace, "--quiet", "--set",
          "spo.iterations=200",
        ])
      try first.wait { FileManager.default.fileExists(atPath: run.path("cache.sqlite")) }
      expect(try run.run(), failsAs: .busy, naming: run.workspace)
      first.interrupt()
      #expect(try first.outcome().exitCode == 130)
      #expect(try run.states("--set", "spo.iterations=200")["ingest"] == "done")
    }
  }

  @Test(
    "results that cannot be written to a full disk: 5",
    arguments: [
      ["--help"], ["inspect", "data/before-after.png"],
      ["inspect", "data/tiny-sd/unet/diffusion_pytorch_model.safetensors"],
      ["inspect", "Tests/Fixtures/commands/published.parquet", "--json", "--digest"],
      ["tokenize", "--model", "data/tiny-sd", "--text", "x"],
      ["status", "pipelines/quickstart.json5"], ["doctor", "--json"],
    ])
  func fullDisk(arguments: [String]) throws {
    let outcome = try Program(arguments, output: "/dev/full").outcome()
    // A file that is no known kind is an error of its own.
    guard arguments != ["inspect", "data/before-after.png"] else { return }
    expect(outcome, failsAs: .space, naming: "standard output")
  }
}
