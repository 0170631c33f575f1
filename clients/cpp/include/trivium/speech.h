#pragma once

#include <string>

#include "trivium/client.h"
#include "trivium/detail/group.h"
#include "trivium/media.h"
#include "trivium/v1/speech.pb.h"

namespace trivium {

// Transcribes and speaks; see SpeechRecognitionService and SpeechSynthesisService in the contract for what
// each method does and fails with. MediaFromFile makes a recording of a file.
class SpeechClient : public detail::Group {
 public:
  using Group::Group;

  v1::RecognizeResponse Recognize(const v1::RecognizeRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::RecognizeResponse>("/trivium.v1.SpeechRecognitionService/Recognize", request, options);
  }

  DuplexStream<v1::StreamRecognizeRequest, v1::StreamRecognizeResponse> StreamRecognize(
      const CallOptions& options = {}) const {
    return Duplex<v1::StreamRecognizeRequest, v1::StreamRecognizeResponse>(
        "/trivium.v1.SpeechRecognitionService/StreamRecognize", options);
  }

  v1::SynthesizeResponse Synthesize(const v1::SynthesizeRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::SynthesizeResponse>("/trivium.v1.SpeechSynthesisService/Synthesize", request, options);
  }

  DuplexStream<v1::StreamSynthesizeRequest, v1::StreamSynthesizeResponse> StreamSynthesize(
      const CallOptions& options = {}) const {
    return Duplex<v1::StreamSynthesizeRequest, v1::StreamSynthesizeResponse>(
        "/trivium.v1.SpeechSynthesisService/StreamSynthesize", options);
  }

  v1::ListVoicesResponse ListVoices(const v1::ListVoicesRequest& request = {}, const CallOptions& options = {}) const {
    return Unary<v1::ListVoicesResponse>("/trivium.v1.SpeechSynthesisService/ListVoices", request, options);
  }

  // Transcribes a recording: a WAV, FLAC, Ogg Opus or MP3 file.
  v1::RecognizeResponse Transcribe(const std::string& model, const v1::Media& recording,
                                   const CallOptions& options = {}) const;

  // Speaks a text and returns the sound as a WAV file; WriteFile(path, response.audio()) writes it. voice:
  // its name, empty for the model's first one.
  v1::SynthesizeResponse Speak(const std::string& model, const std::string& text, const std::string& voice = "",
                               const CallOptions& options = {}) const;
};

}  // namespace trivium
