"""moto's server without Docker: a Lambda that is there answers with its version and the event it got."""

import json
import sys

from moto.awslambda.responses import LambdaResponse
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import default_user_config
from moto.server import main

default_user_config["lambda"]["use_docker"] = False

get_param = LambdaResponse._get_param


def parameter(self, name, *more):
    # moto looks for the qualifier of an invocation in lower case, and never finds it.
    return get_param(self, "Qualifier" if name == "qualifier" else name, *more)


def invoke(self, function_name, qualifier, body, headers, response_headers):
    function = self.get_function(function_name, qualifier)
    if headers.get("X-Amz-Invocation-Type") == "DryRun":
        return b""
    event = json.loads(body)
    if event.get("rule") == "Break":
        response_headers["x-amz-function-error"] = "Unhandled"
        return json.dumps({"errorMessage": "boom"}).encode()
    return json.dumps({"version": str(function.version), "event": event}).encode()


LambdaResponse._get_param = parameter
LambdaSimpleBackend.invoke = invoke

main(["--host", "127.0.0.1", "--port", sys.argv[1]])
