import Autograd
import Diffusion
import Files
import Foundation
import TestSupport
import Testing

/// Sampling runs of diffusers: `Tests/Fixtures/ddim/generate.py`.
private struct Fixture {
  let json: JSONReader
  let start: [Float]
  let outputs: [[Float]]
  let noise: [[Float]]

  init() throws {
    json = try JSONReader(contentsOf: fixturePath("ddim/schedulers.json"))
    start = try floats(json["start"])
    outputs = try json["outputs"].elements().map(floats)
    noise = try json["noise"].elements().map(floats)
  }
}

private func floats(_ json: JSONReader) throws -> [Float] {
  try json.elements().map { Float(try $0.double()) }
}

/// The largest difference relative to the larger of 1 and the expected value.
private func difference(_ values: [Float], _ expected: [Float]) -> Float {
  guard values.count == expected.count else { return .infinity }
  return zip(values, expected).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 0
}

/// A batch of one latent.
private func latent(_ values: [Float]) -> Tensor {
  Tensor(values, shape: [1, 1, 1, values.count])
}

@Suite struct NoiseScheduleTests {
  @Test("what is left of the sample is torch's, for every curve")
  func alphaBar() throws {
    for item in try Fixture().json["alpha_bar"].elements() {
      let schedule = try NoiseSchedule(SchedulerConfig(item["settings"]))
      let values = try item.ints("places").map { schedule.alphaBar[$0] }
      let expected = try floats(item["values"])
      let error = zip(values, expected).map { abs($0 - $1) / max($1, 1e-6) }.max() ?? 1
      let label = try item["settings"].value.text()
      #expect(error < 1e-6, "\(label)")
    }
  }
}

@Suite struct SamplingPlanTests {
  @Test("whole runs agree with diffusers' schedulers, step by step")
  func runs() throws {
    let fixture = try Fixture()
    for run in try fixture.json["runs"].elements() {
      let settings = try run["settings"]
      let label = "\(try run.string("class")) \(settings.value.text()) \(try run.int("steps"))"
      let kind = try #require(SchedulerKind(rawValue: try run.string("class")))
      let plan = try SamplingPlan(
        SchedulerConfig(settings), kind: kind, stepCount: try run.int("steps"),
        eta: Float(try run.double("eta")))
      #expect(
        difference(plan.steps.map(\.timestep), try floats(run["timesteps"])) < 1e-6, "\(label)")
      #expect(
        difference(plan.steps.map(\.inputScale), try floats(run["input_scales"])) < 1e-6,
        "\(label)")

      var sampler = Sampler(plan)
      var sample = fixture.start.map { $0 * plan.initialNoiseScale }
      for (call, expected) in try run["samples"].elements().enumerated() {
        sample.withUnsafeMutableBufferPointer { sample in
          fixture.outputs[call].withUnsafeBufferPointer { output in
            fixture.noise[call].withUnsafeBufferPointer { noise in
              sampler.advance(output: output, noise: noise, sample: sample)
            }
          }
        }
        guard expected.value != .null else { continue }
        let error = difference(sample, try floats(expected))
        // Zero terminal SNR starts at sigma 4096, of which a step takes away all but a thousandth.
        #expect(error < 5e-5, "\(label), call \(call)")
      }
      #expect(sampler.nextStep == nil, "\(label)")
    }
  }

  @Test("settings that are not understood are refused by name")
  func refusals() throws {
    func message(_ kind: SchedulerKind, _ settings: JSON, stepCount: Int = 20) -> String {
      let config = SchedulerConfig(JSONReader(settings, path: "c.json"))
      do {
        _ = try SamplingPlan(config, kind: kind, stepCount: stepCount)
        return "no error"
      } catch { return "\(error)" }
    }
    #expect(
      message(.ddim, ["thresholding": true]) == "c.json: thresholding is true; supported is false")
    #expect(
      message(.ddim, ["beta_schedule": "exotic"]).contains(
        "beta_schedule is exotic; supported is linear,"))
    #expect(message(.ddim, ["prediction_type": "flow"]).contains("prediction_type is flow"))
    #expect(message(.ddim, ["timestep_spacing": "x"]).contains("timestep_spacing is x"))
    #expect(message(.ddim, ["num_train_timesteps": 1_000_000_000]).contains("num_train_timesteps"))
    #expect(message(.ddim, ["num_train_timesteps": 0]).contains("num_train_timesteps"))
    #expect(message(.ddim, ["trained_betas": [0.5, 1.5]]).contains("betas"))
    #expect(message(.ddim, ["trained_betas": []]).contains("betas"))
    #expect(message(.ddim, ["beta_start": -1]).contains("betas"))
    #expect(message(.ddim, ["steps_offset": 5000]).contains("steps_offset"))
    #expect(
      message(.ddim, ["steps_offset": 1], stepCount: 1000).contains(
        "goes beyond timestep 999; the most that fit are 999"))
    #expect(message(.ddim, [:], stepCount: 0).contains("expected 1 to 1000"))
    #expect(message(.ddim, [:], stepCount: 1001).contains("expected 1 to 1000"))
    #expect(
      message(.ddim, ["clip_sample": "no"]).contains("c.json: clip_sample must be true or false"))
    let zero: JSON = ["rescale_betas_zero_snr": true, "timestep_spacing": "trailing"]
    #expect(message(.ddim, zero).contains("prediction_type is epsilon"))
    #expect(message(.pndm, [:]).contains("skip_prk_steps is false"))
    #expect(
      message(.pndm, ["skip_prk_steps": true, "prediction_type": "sample"]).contains("sample"))
    #expect(message(.euler, ["interpolation_type": "log_linear"]).contains("log_linear"))
    #expect(message(.euler, ["use_beta_sigmas": true]).contains("use_beta_sigmas"))
    #expect(
      message(.dpmSolver, ["solver_order": 3]).contains("solver_order is 3; supported is 1, 2"))
    #expect(message(.dpmSolver, ["algorithm_type": "sde-dpmsolver++"]).contains("sde-dpmsolver++"))
    #expect(message(.dpmSolver, ["variance_type": "learned"]).contains("variance_type"))
    #expect(message(.dpmSolver, ["lambda_min_clipped": 99]).contains("20 steps"))
    let config = SchedulerConfig(JSONReader(["_class_name": "UniPC"], path: "c.json"))
    #expect(throws: SchedulerError.self) { try SamplingPlan(config, stepCount: 20) }
    let ddim = SchedulerConfig(JSONReader([:], path: "c.json"))
    #expect(throws: SchedulerError.eta(1.5)) {
      try SamplingPlan(ddim, kind: .ddim, stepCount: 20, eta: 1.5)
    }
  }

  @Test("a config as Python writes it is read, and the class in it is used")
  func folder() throws {
    try withTemporaryFolder { folder in
      let text = """
        {"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity,
         "trained_betas": null, "clip_sample": true, "steps_offset": 0}
        """
      try AtomicFile.replace("\(folder)/scheduler_config.json", with: Array(text.utf8))
      let config = try SchedulerConfig(folder: folder)
      #expect(try config.kind() == .dpmSolver)
      #expect(try SamplingPlan(config, stepCount: 5).steps.count == 5)
      let changed = try config.asInStableDiffusionPipeline()
      #expect(try DDIMScheduler(config).clipRange == 1)
      #expect(try DDIMScheduler(changed).clipRange == nil)
      #expect(try DDIMScheduler(changed).timesteps(stepCount: 20).last == 1)
    }
  }
}

@Suite struct DDIMSchedulerTests {
  @Test("steps of SPO follow the formulas, with the previous timestep kept at 0 or above")
  func stepwise() throws {
    let fixture = try Fixture()
    let scheduler = try DDIMScheduler(SchedulerConfig(fixture.json["spo_settings"]))
    let (start, output, noise) = (
      latent(fixture.start), latent(fixture.outputs[0]), latent(fixture.noise[0])
    )
    for item in try fixture.json["spo"].elements() {
      let transition = try scheduler.transition(
        from: [item.int("timestep")], stepCount: item.int("steps"), eta: Float(item.double("eta")))
      let predictedX0 = transition.predictedX0(start, modelOutput: output)
      let mean = transition.mean(start, modelOutput: output)
      let after = transition.sample(mean: mean, noise: noise)
      #expect(difference(transition.rows.map(\.sigma), [Float(try item.double("sigma"))]) < 1e-5)
      #expect(difference(predictedX0.values, try floats(item["original"])) < 1e-5)
      #expect(difference(after.values, try floats(item["after"])) < 1e-5)
      if let expected = try item.optional("log_prob")?.double() {
        #expect(
          difference(transition.logDensity(after, mean: mean).values, [Float(expected)]) < 1e-4)
      } else {
        #expect(transition.rows[0].sigma == 0, "a deterministic step has no density")
      }
    }
  }

  @Test("timesteps of SPO's recipe are 951, 901, ..., 1")
  func timesteps() throws {
    let fixture = try Fixture()
    let scheduler = try DDIMScheduler(SchedulerConfig(fixture.json["spo_settings"]))
    let timesteps = try scheduler.timesteps(stepCount: 20)
    #expect(timesteps == Array(stride(from: 951, through: 1, by: -50)))
  }
}
