"""Who is who: people in a user pool, lockers by a device policy. Holds state."""

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iot as iot
from constructs import Construct

from infra.deployment import Deployment
from iot_rules import device_policy

OPERATORS = "operators"


class IdentityStack(Stack):
    """Groups say what a person may see: `operators` all, `building:<id>` one building.

    The latter are data, made when a building is taken on, so they are not in the template.
    """

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        super().__init__(
            scope,
            deployment.name("identity"),
            description="Latchline: user pool and device policy",
            termination_protection=deployment.production,
        )
        self.user_pool = self._user_pool(deployment)
        client = self._client(deployment)
        policy_name = self._device_policy(deployment)
        CfnOutput(self, "UserPoolId", value=self.user_pool.user_pool_id)
        CfnOutput(self, "UserPoolClientId", value=client.user_pool_client_id)
        CfnOutput(self, "DevicePolicyName", value=policy_name)

    def _user_pool(self, deployment: Deployment) -> cognito.UserPool:
        pool = cognito.UserPool(
            self,
            "UserPool",
            user_pool_name=deployment.name("people"),
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            password_policy=cognito.PasswordPolicy(
                min_length=12, temp_password_validity=Duration.days(3)
            ),
            deletion_protection=deployment.production,
            removal_policy=deployment.removal_policy,
        )
        cognito.CfnUserPoolGroup(
            self,
            "Operators",
            user_pool_id=pool.user_pool_id,
            group_name=OPERATORS,
            description="May see every building",
        )
        return pool

    def _client(self, deployment: Deployment) -> cognito.UserPoolClient:
        """The dashboard's: runs in a browser, so it has no secret, and no password leaves it (SRP).

        Outside production tools may fetch a token with IAM rights (`AdminInitiateAuth`).
        """
        return self.user_pool.add_client(
            "Dashboard",
            user_pool_client_name=deployment.name("dashboard"),
            generate_secret=False,
            auth_flows=cognito.AuthFlow(
                user_srp=True, admin_user_password=not deployment.production
            ),
            disable_o_auth=True,
            prevent_user_existence_errors=True,
            id_token_validity=Duration.hours(1),
            access_token_validity=Duration.hours(1),
            refresh_token_validity=Duration.days(30),
        )

    def _device_policy(self, deployment: Deployment) -> str:
        name = deployment.name("locker")
        iot.CfnPolicy(
            self,
            "DevicePolicy",
            policy_name=name,
            policy_document=device_policy(
                partition=self.partition,
                region=self.region,
                account=self.account,
                door_rule=deployment.door_rule,
            ),
        )
        return name
